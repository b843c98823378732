"""The dill format. Needs the dill package. **Unsafe**, as pickle."""

from __future__ import annotations

import functools
import io
from typing import Any

from pyrolite.configuration import config
from pyrolite.pieces import under_view
from pyrolite.serializers.base import Buffer
from pyrolite.serializers.pickle import NameMapping, PickleFamilySerializer, find_mapped_class

__all__ = ["DillSerializer"]


class DillSerializer(PickleFamilySerializer):
    """dill: as pickle, also functions and classes by value; **unsafe** with anybody who is not trusted."""

    serializer_id = 5
    _slow = True

    def _protocol(self) -> int:
        return config.DILL_PROTOCOL_VERSION

    def _dump_any(self, data: Any) -> bytes:
        import dill

        return dill.dumps(data, config.DILL_PROTOCOL_VERSION)  # type: ignore[no-any-return]

    def _dump_mapped(self, data: Any) -> bytes:
        buffer = io.BytesIO()
        pickler = _classes()[0](buffer, config.DILL_PROTOCOL_VERSION)
        pickler.replacements = self._replacements
        pickler.dump(data)
        return buffer.getvalue()

    def _read(self, data: Buffer) -> Any:
        return _classes()[1](io.BytesIO(under_view(data))).load()


@functools.cache
def _classes() -> Any:
    import dill

    class DillPickler(NameMapping, dill.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            return self.mapped_reduction(obj)

    class DillUnpickler(dill.Unpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            found = find_mapped_class(module, name)
            return super().find_class(module, name) if found is None else found

    return DillPickler, DillUnpickler
