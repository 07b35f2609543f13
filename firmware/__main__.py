"""`python -m firmware` is the `allobox` command."""

from firmware.cli import main

if __name__ == "__main__":
    main()
