"""Which names are private: they can never be reached from outside ([EXP-1], [EXP-2])."""

from __future__ import annotations

from typing import Final

__all__ = ["is_private_attribute"]

_PRIVATE_DUNDERS: Final = frozenset(
    # [EXP-2]: Pyro4's list
    """
    __init__ __init_subclass__ __class__ __module__ __weakref__ __call__ __new__ __del__ __repr__ __unicode__ __str__
    __format__ __nonzero__ __bool__ __coerce__ __cmp__ __eq__ __ne__ __hash__ __ge__ __gt__ __le__ __lt__ __dir__
    __enter__ __exit__ __copy__ __deepcopy__ __sizeof__ __getattr__ __setattr__ __hasattr__ __getattribute__
    __delattr__ __instancecheck__ __subclasscheck__ __getinitargs__ __getnewargs__ __getstate__ __setstate__
    __reduce__ __reduce_ex__ __getstate_for_dict__ __setstate_from_dict__ __subclasshook__
    """.split()
    # and what REQUIRE_EXPOSE=False would open beyond it
    + """
    __dict__ __slots__ __doc__ __annotations__ __getnewargs_ex__ __set_name__ __mro_entries__ __prepare__
    __class_getitem__ __objclass__ __wrapped__ __globals__ __code__ __closure__ __func__ __self__ __builtins__
    """.split()
)


def is_private_attribute(attr_name: str) -> bool:
    """Whether ``attr_name`` can never be reached from outside ([EXP-1])."""
    if attr_name in _PRIVATE_DUNDERS:
        return True
    if not attr_name.startswith("_"):
        return False
    # real dunder names are public, as Python's protocols are
    return not (len(attr_name) > 4 and attr_name.startswith("__") and attr_name.endswith("__"))
