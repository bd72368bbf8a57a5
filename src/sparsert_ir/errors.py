"""Every error that the package raises on purpose, under one base class.

A message says what was expected, what was got, and what to do about it.
"""


class SparsertError(Exception):
    """Base of all errors raised by this package."""


class MatrixError(SparsertError, ValueError):
    """A weight matrix or a matrix file cannot be used (shape, indices, values, format)."""


class MatrixFileNotFoundError(MatrixError, FileNotFoundError):
    """There is no matrix file at the path."""


class ArgumentError(SparsertError, ValueError):
    """An argument of a public function is not acceptable."""


class MissingExtraError(SparsertError, ImportError):
    """A package that an optional part needs is not installed; the message names the extra."""


class ScheduleError(SparsertError, ValueError):
    """A schedule does not fit the operation or the target; the message names the knob."""


class BudgetError(SparsertError, ValueError):
    """The generated code would exceed its budget; the message holds the estimate."""


class IRError(SparsertError):
    """The IR is not in the form that a stage requires."""


class CodegenError(SparsertError, RuntimeError):
    """LLVM refused the generated code; always a defect of this package."""


class TuningError(SparsertError, RuntimeError):
    """No candidate of a tuning run could be built, checked and timed."""


class TuningRecordError(SparsertError, ValueError):
    """A stored tuning record cannot be read, or was made for another layer."""


class ArtefactError(SparsertError, ValueError):
    """A kernel artefact is damaged, hostile, or not for this machine."""


class FileWriteError(SparsertError, OSError):
    """A file could not be written, for want of space say; what was there before is unchanged."""


class InterpreterError(SparsertError, RuntimeError):
    """The interpreted program is wrong: out of bounds, a race, a divergent barrier."""


class CallError(SparsertError, ValueError):
    """A kernel was called with arguments that it cannot run on; nothing was launched."""


class MissingPackageError(SparsertError, ModuleNotFoundError):
    """A part of this package needs another package that is not installed."""


class DeviceError(SparsertError, RuntimeError):
    """The GPU, its driver or a launch failed."""


class NoDeviceError(DeviceError):
    """No usable GPU or driver was found; `target="cpu"` still works."""


class ArchitectureError(DeviceError):
    """The kernel was built for an architecture that this GPU cannot run."""


class DeviceMemoryError(DeviceError, MemoryError):
    """The GPU ran out of memory."""
