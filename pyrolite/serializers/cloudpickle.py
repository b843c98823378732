"""The cloudpickle format. Needs the cloudpickle package. **Unsafe**, as pickle."""

from __future__ import annotations

import functools
import io
from typing import Any

from pyrolite.configuration import config
from pyrolite.serializers.pickle import NameMapping, PickleFamilySerializer, load_pickle

__all__ = ["CloudpickleSerializer"]


class CloudpickleSerializer(PickleFamilySerializer):
    """cloudpickle: as pickle, also functions and classes by value; **unsafe** with anybody who is not trusted."""

    serializer_id = 7

    def _dump_any(self, data: Any) -> bytes:
        import cloudpickle

        return cloudpickle.dumps(data, config.PICKLE_PROTOCOL_VERSION)  # type: ignore[no-any-return]

    def _dump_mapped(self, data: Any) -> bytes:
        buffer = io.BytesIO()
        pickler = _pickler_class()(buffer, config.PICKLE_PROTOCOL_VERSION)
        pickler.replacements = self._replacements
        pickler.dump(data)
        return buffer.getvalue()

    _read = staticmethod(load_pickle)


@functools.cache
def _pickler_class() -> Any:
    import cloudpickle

    class CloudPickler(NameMapping, cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            reduction = self.mapped_reduction(obj)
            return super().reducer_override(obj) if reduction is NotImplemented else reduction

    return CloudPickler
