################################################################################
#
# python-imapclient
#
################################################################################

PYTHON_IMAPCLIENT_VERSION = 4.1.0
PYTHON_IMAPCLIENT_SOURCE = imapclient-$(PYTHON_IMAPCLIENT_VERSION).tar.gz
PYTHON_IMAPCLIENT_SITE = $(ALLOBOX_SDISTS)/i/imapclient
PYTHON_IMAPCLIENT_SETUP_TYPE = setuptools
PYTHON_IMAPCLIENT_LICENSE = BSD-3-Clause
PYTHON_IMAPCLIENT_LICENSE_FILES = COPYING

$(eval $(python-package))
