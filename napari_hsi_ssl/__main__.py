"""Run the command line with ``python -m napari_hsi_ssl``."""

from napari_hsi_ssl.cli import main

if __name__ == "__main__":
    main()
