################################################################################
#
# allobox
#
################################################################################

# The checkout around this external tree: no archive, hence no hash file.
ALLOBOX_VERSION = 0.1.0
ALLOBOX_SITE = $(BR2_EXTERNAL_ALLOBOX_PATH)/..
ALLOBOX_SITE_METHOD = local
ALLOBOX_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude .cache --exclude .data --exclude .venv --exclude __pycache__ \
	--exclude build --exclude dist --exclude '*.egg-info' --exclude tests
ALLOBOX_SETUP_TYPE = setuptools
ALLOBOX_LICENSE = GPL-3.0-or-later
ALLOBOX_LICENSE_FILES = LICENSE
ALLOBOX_DEPENDENCIES = host-python-babel

# The words of the page, the mails and the announcements, compiled as `make` does.
define ALLOBOX_CATALOGUES
	cd $(@D) && $(HOST_DIR)/bin/python3 -m firmware.i18n
endef
ALLOBOX_PRE_BUILD_HOOKS += ALLOBOX_CATALOGUES

define ALLOBOX_USERS
	- -1 gpio -1 - - - - GPIO lines
	allobox -1 allobox -1 * - - gpio,audio,dialout Allobox core
	allobox-page -1 allobox-page -1 * - - allobox Allobox page
	allobox-mail -1 allobox-mail -1 * - - allobox Allobox mail
endef

$(eval $(python-package))
