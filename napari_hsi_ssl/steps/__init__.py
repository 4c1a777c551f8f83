"""The verbs: one generator each, called alike by the command line, the window and a notebook.

Each takes a project and settings, yields `Progress`, and returns a JSON-able report; arrays go to the project folder.

>>> from napari_hsi_ssl import Project, run
>>> from napari_hsi_ssl.steps.pca import fit_pca                             # doctest: +SKIP
>>> run(fit_pca(Project.open("my-project")))["explained"][:3]                # doctest: +SKIP
"""

from napari_hsi_ssl.progress import Progress as Progress
from napari_hsi_ssl.progress import Steps as Steps
from napari_hsi_ssl.progress import run as run
