################################################################################
#
# python-phonenumbers
#
################################################################################

PYTHON_PHONENUMBERS_VERSION = 9.0.43
PYTHON_PHONENUMBERS_SOURCE = phonenumbers-$(PYTHON_PHONENUMBERS_VERSION).tar.gz
PYTHON_PHONENUMBERS_SITE = $(ALLOBOX_SDISTS)/p/phonenumbers
PYTHON_PHONENUMBERS_SETUP_TYPE = setuptools
PYTHON_PHONENUMBERS_LICENSE = Apache-2.0
PYTHON_PHONENUMBERS_LICENSE_FILES = LICENSE

$(eval $(python-package))
