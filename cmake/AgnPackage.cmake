# Debian packages by CPack: agilenn (the command and its service) and libagilenn-dev (libraries and headers).
# `cpack -G DEB` in the build folder makes both; tests/check_deb.sh installs them into an empty root.
set(AGN_MAINTAINER "" CACHE STRING "Maintainer of the Debian packages: NAME <MAIL>")
if(NOT AGN_MAINTAINER)
  set(AGN_MAINTAINER "AgileNN developers <agilenn@example.org>")
endif()
set(packaging ${PROJECT_SOURCE_DIR}/packaging/debian)
set(generated ${PROJECT_BINARY_DIR}/generated/debian)

# What only packages have: the settings where the service looks for them, and Debian's own files.
install(FILES ${PROJECT_SOURCE_DIR}/packaging/agilenn-server.conf DESTINATION /etc/agilenn RENAME server.conf
  COMPONENT system EXCLUDE_FROM_ALL)
find_program(AGN_GZIP gzip)
if(AGN_GZIP)
  file(STRINGS ${PROJECT_SOURCE_DIR}/CHANGELOG.md release REGEX "^## .${PROJECT_VERSION}. - " LIMIT_COUNT 1)
  string(REGEX MATCH "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]$" date "${release}")
  execute_process(COMMAND date -u -R -d "${date}" OUTPUT_VARIABLE AGN_RELEASE_DATE OUTPUT_STRIP_TRAILING_WHITESPACE)
  configure_file(${packaging}/changelog.in ${generated}/changelog.Debian @ONLY)
  configure_file(${PROJECT_SOURCE_DIR}/CHANGELOG.md ${generated}/changelog COPYONLY)
  execute_process(COMMAND ${AGN_GZIP} -9nf ${generated}/changelog.Debian ${generated}/changelog)
  foreach(package agilenn libagilenn-dev)
    string(COMPARE EQUAL ${package} agilenn is_command)
    if(is_command)
      set(component system)
    else()
      set(component development-system)
    endif()
    install(FILES ${packaging}/copyright ${generated}/changelog.Debian.gz ${generated}/changelog.gz
      DESTINATION share/doc/${package} COMPONENT ${component} EXCLUDE_FROM_ALL)
  endforeach()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME agilenn)
set(CPACK_PACKAGE_VENDOR "AgileNN")
set(CPACK_PACKAGE_CONTACT "${AGN_MAINTAINER}")
set(CPACK_PACKAGE_HOMEPAGE_URL "https://arxiv.org/abs/2312.14229")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)

set(CPACK_COMPONENTS_ALL runtime system development development-system)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
foreach(component runtime system)
  string(TOUPPER ${component} upper)
  set(CPACK_COMPONENT_${upper}_GROUP command)
endforeach()
foreach(component development development-system)
  string(TOUPPER ${component} upper)
  set(CPACK_COMPONENT_${upper}_GROUP libraries)
endforeach()

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME agilenn)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION science)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMMAND_PACKAGE_RECOMMENDS "gnuplot-nox | gnuplot, dataset-fashion-mnist")
set(CPACK_DEBIAN_COMMAND_PACKAGE_SUGGESTS "libagilenn-dev, systemd")
set(CPACK_DEBIAN_COMMAND_PACKAGE_CONTROL_EXTRA ${packaging}/postinst ${packaging}/prerm ${packaging}/postrm
  ${generated}/conffiles)
set(CPACK_DEBIAN_COMMAND_PACKAGE_CONTROL_STRICT_PERMISSION ON)
file(WRITE ${generated}/conffiles "/etc/agilenn/server.conf\n")
set(CPACK_DEBIAN_COMMAND_DESCRIPTION
"neural networks split between a microcontroller and a server
Trains an image classifier of which a tiny part runs on a microcontroller and
the rest on a server, with explainable AI deciding which features stay on the
device; exports the device's part to int8, serves the other one over CoAP,
and measures both. This package has the command and the server's unit.")

get_property(packages GLOBAL PROPERTY AGN_DEBIAN_PACKAGES)
list(REMOVE_DUPLICATES packages)
list(JOIN packages ", " packages)
set(CPACK_DEBIAN_LIBRARIES_PACKAGE_NAME libagilenn-dev)
set(CPACK_DEBIAN_LIBRARIES_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBRARIES_PACKAGE_DEPENDS "${packages}")
set(CPACK_DEBIAN_LIBRARIES_PACKAGE_SUGGESTS agilenn)
set(CPACK_DEBIAN_LIBRARIES_DESCRIPTION
"neural networks split between a microcontroller and a server (libraries)
Headers and static libraries of AgileNN: the device's half (int8 runtime,
codec, packets, link, modem driver), and the host's (data, training, export,
server, client), with pkg-config files and a CMake package.")
include(CPack)
