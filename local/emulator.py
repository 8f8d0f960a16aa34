"""The process that is MiniStack: `python -m local.emulator`. `local.ministack` starts it."""

import ministack.app

from local import patches

if __name__ == "__main__":
    patches.apply()
    ministack.app.main()
