################################################################################
#
# Allobox: what Buildroot lacks
#
################################################################################

# Source archives of Python packages come from where Buildroot's own do. This file
# is read after every package/*/*.mk, so Flask's address is known.
ALLOBOX_SDISTS = $(firstword $(subst /packages/, ,$(PYTHON_FLASK_SITE)))/packages/source

include $(sort $(wildcard $(BR2_EXTERNAL_ALLOBOX_PATH)/package/*/*.mk))
