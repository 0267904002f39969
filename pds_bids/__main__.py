"""`python -m pds_bids` is the `pds-bids` command."""

from pds_bids.cli.main import main

if __name__ == "__main__":
    main()
