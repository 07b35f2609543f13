################################################################################
#
# python-gpiozero-allobox
#
################################################################################

PYTHON_GPIOZERO_ALLOBOX_VERSION = 2.0.1.post3
PYTHON_GPIOZERO_ALLOBOX_SOURCE = gpiozero-$(PYTHON_GPIOZERO_ALLOBOX_VERSION).tar.gz
PYTHON_GPIOZERO_ALLOBOX_SITE = $(ALLOBOX_SDISTS)/g/gpiozero
PYTHON_GPIOZERO_ALLOBOX_SETUP_TYPE = setuptools
PYTHON_GPIOZERO_ALLOBOX_LICENSE = BSD-3-Clause
PYTHON_GPIOZERO_ALLOBOX_LICENSE_FILES = LICENSE.rst

$(eval $(python-package))
