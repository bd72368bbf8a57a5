"""What an operand, a property or a result may be, in words."""

from xdsl.irdl import (
    AllOf,
    AnyAttr,
    AnyOf,
    AttrConstraint,
    BaseAttr,
    EqAttrConstraint,
    ParamAttrConstraint,
    RangeConstraint,
    RangeLengthConstraint,
    RangeOf,
    VarConstraint,
)


def in_words(constraint: AttrConstraint | RangeConstraint) -> str:
    match constraint:
        case AnyAttr():
            return "any"
        case BaseAttr():
            return f"`{constraint.attr.name}`"
        case EqAttrConstraint():
            return f"`{constraint.attr}`"
        case ParamAttrConstraint():
            return f"`{constraint.base_attr.name}`"
        case VarConstraint():
            return f"{in_words(constraint.constraint)} ({constraint.name})"
        case AnyOf():
            return " or ".join(map(in_words, constraint.attr_constrs))
        case AllOf():
            return " and ".join(map(in_words, constraint.attr_constrs))
        case RangeLengthConstraint():
            return in_words(constraint.constraint)
        case RangeOf():
            return in_words(constraint.constr)
        case _:
            return _bases(constraint)


def _bases(constraint: AttrConstraint | RangeConstraint) -> str:
    bases = constraint.get_bases() if isinstance(constraint, AttrConstraint) else None
    return " or ".join(sorted(f"`{base.name}`" for base in bases)) if bases else "any"
