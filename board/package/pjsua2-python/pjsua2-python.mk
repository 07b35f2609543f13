################################################################################
#
# pjsua2-python
#
################################################################################

# Version, archive and its hash are those of Buildroot's libpjsip, which security
# updates move; what is built of it is not.
PJSUA2_PYTHON_VERSION = $(LIBPJSIP_VERSION)
PJSUA2_PYTHON_SOURCE = $(LIBPJSIP_SOURCE)
PJSUA2_PYTHON_SITE = $(LIBPJSIP_SITE)
PJSUA2_PYTHON_DL_SUBDIR = libpjsip
PJSUA2_PYTHON_LICENSE = GPL-2.0+
PJSUA2_PYTHON_LICENSE_FILES = COPYING
PJSUA2_PYTHON_DEPENDENCIES = host-swig host-python-setuptools python3 openssl

# More calls and accounts than PJSIP's four and eight; no latching of RTP to strangers.
define PJSUA2_PYTHON_SITE_CONFIG
	$(INSTALL) -m 0644 $(PJSUA2_PYTHON_PKGDIR)/config_site.h $(@D)/pjlib/include/pj/config_site.h
endef
PJSUA2_PYTHON_PRE_CONFIGURE_HOOKS += PJSUA2_PYTHON_SITE_CONFIG

PJSUA2_PYTHON_CONF_ENV = \
	LD="$(TARGET_CC)" \
	CFLAGS="$(TARGET_CFLAGS) -fPIC" \
	CXXFLAGS="$(TARGET_CXXFLAGS) -fPIC"

# G.711, G.722 and the resampler are on unless disabled.
PJSUA2_PYTHON_CONF_OPTS = \
	--with-ssl=$(STAGING_DIR)/usr \
	--disable-bcg729 \
	--disable-ext-sound \
	--disable-ffmpeg \
	--disable-g7221-codec \
	--disable-gsm-codec \
	--disable-ilbc-codec \
	--disable-ipp \
	--disable-l16-codec \
	--disable-libsamplerate \
	--disable-libwebrtc \
	--disable-libyuv \
	--disable-opencore-amr \
	--disable-openh264 \
	--disable-opus \
	--disable-sdl \
	--disable-silk \
	--disable-sound \
	--disable-speex-aec \
	--disable-speex-codec \
	--disable-upnp \
	--disable-v4l2 \
	--disable-video

PJSUA2_PYTHON_MAKE_OPTS = lib

PJSUA2_PYTHON_BINDING = $(@D)/pjsip-apps/src/swig/python
PJSUA2_PYTHON_INCLUDES = $(foreach part,pjlib pjlib-util pjmedia pjnath pjsip,-I$(@D)/$(part)/include)

# -threads: without it callbacks from PJSIP's threads crash the interpreter.
define PJSUA2_PYTHON_BUILD_BINDING
	cd $(PJSUA2_PYTHON_BINDING) && \
		$(HOST_DIR)/bin/swig -c++ -threads -w312 -python $(PJSUA2_PYTHON_INCLUDES) \
			-outdir . -o pjsua2_wrap.cpp ../pjsua2.i && \
		$(PKG_PYTHON_SETUPTOOLS_ENV) MAKE="$(MAKE)" PJDIR=$(@D) \
			$(HOST_DIR)/bin/python3 setup.py build --build-lib built
endef
PJSUA2_PYTHON_POST_BUILD_HOOKS += PJSUA2_PYTHON_BUILD_BINDING

# PJSIP's own installation would add static libraries and headers that nobody uses.
define PJSUA2_PYTHON_INSTALL_TARGET_CMDS
	mkdir -p $(TARGET_DIR)/usr/lib/python$(PYTHON3_VERSION_MAJOR)/site-packages
	cp -a $(PJSUA2_PYTHON_BINDING)/built/. $(TARGET_DIR)/usr/lib/python$(PYTHON3_VERSION_MAJOR)/site-packages/
endef

$(eval $(autotools-package))

# After the line above, which looks for a file of our own.
PJSUA2_PYTHON_HASH_FILES = $(LIBPJSIP_HASH_FILES)
