"""Where things are in the checkout."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
TEMPLATE = CHECKOUT / "template.yaml"
SAM_CONFIG = CHECKOUT / "samconfig.toml"
TOOLS = CHECKOUT / ".tools"
LOCAL = CHECKOUT / ".local"
