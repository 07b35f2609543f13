################################################################################
#
# python-lgpio
#
################################################################################

PYTHON_LGPIO_VERSION = 0.2.2.0
PYTHON_LGPIO_SOURCE = lgpio-$(PYTHON_LGPIO_VERSION).tar.gz
PYTHON_LGPIO_SITE = $(ALLOBOX_SDISTS)/l/lgpio
PYTHON_LGPIO_SETUP_TYPE = setuptools
PYTHON_LGPIO_LICENSE = Unlicense
PYTHON_LGPIO_LICENSE_FILES = LICENSE
PYTHON_LGPIO_DEPENDENCIES = host-swig
# The archive holds the C library too: linked in, so that no liblgpio is needed.
PYTHON_LGPIO_ENV = PYPI=1

$(eval $(python-package))
