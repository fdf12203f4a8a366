"""Where things lie in a working copy."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".tessera"
BUILD = ROOT / ".aws-sam" / "build"
TEMPLATE = ROOT / "template.yaml"
FUNCTIONS = ROOT / "functions"
OUR_LAYER = ROOT / "layers" / "tessera" / "python"
EVENTS = ROOT / "events"

MINISTACK_PYTHON = STATE / "engines" / "ministack" / "bin" / "python"
RUNTIME_PYTHON = STATE / "engines" / "runtime" / "bin" / "python"
SAM_TOOLS = STATE / "tools" / "sam"
OUR_UV = STATE / "tools" / "uv" / "bin" / "uv"
