# Third-party libraries, each as an interface target agn_<name>; a missing one is named with its Debian package.

find_package(Threads REQUIRED)
find_package(OpenMP COMPONENTS C)
find_package(PkgConfig REQUIRED)

add_library(agn_openmp INTERFACE)
if(OpenMP_C_FOUND)
  target_link_libraries(agn_openmp INTERFACE OpenMP::OpenMP_C)
else()
  message(FATAL_ERROR "OpenMP not found for ${CMAKE_C_COMPILER} (clang needs the Debian package libomp-dev)")
endif()

# The pkg-config modules are alternatives, tried in order.
function(agn_find_library name package)
  pkg_search_module(AGN_${name} IMPORTED_TARGET ${ARGN})
  if(NOT AGN_${name}_FOUND)
    message(FATAL_ERROR "${name} not found: install the Debian package ${package} (or run 'make deps')")
  endif()
  add_library(agn_${name} INTERFACE)
  target_link_libraries(agn_${name} INTERFACE PkgConfig::AGN_${name})
endfunction()

agn_find_library(coap libcoap3-dev libcoap-3-notls libcoap-3-openssl libcoap-3-gnutls libcoap-3)
agn_find_library(jpeg libjpeg62-turbo-dev libjpeg)
agn_find_library(png libpng-dev libpng)
agn_find_library(zlib zlib1g-dev zlib)
agn_find_library(jansson libjansson-dev jansson)
agn_find_library(inih libinih-dev inih)
agn_find_library(matio libmatio-dev matio)
agn_find_library(curl libcurl4-gnutls-dev libcurl)
agn_find_library(archive libarchive-dev libarchive)
agn_find_library(nettle nettle-dev nettle)
if(BUILD_TESTING)
  agn_find_library(cmocka libcmocka-dev cmocka)
endif()

# oneDNN's own CMake package asks for OpenCL, which a CPU build never touches. Versions 2 and 3 both serve; CMAKE_PREFIX_PATH,
# or AGN_DNNL_INCLUDE and AGN_DNNL_LIBRARY, choose one.
find_path(AGN_DNNL_INCLUDE oneapi/dnnl/dnnl.h)
find_library(AGN_DNNL_LIBRARY dnnl)
if(NOT AGN_DNNL_INCLUDE OR NOT AGN_DNNL_LIBRARY)
  message(FATAL_ERROR "oneDNN not found: install the Debian package libdnnl-dev (or run 'make deps')")
endif()
file(STRINGS ${AGN_DNNL_INCLUDE}/oneapi/dnnl/dnnl_version.h AGN_DNNL_VERSION
  REGEX "define DNNL_VERSION_(MAJOR|MINOR) ")
string(REGEX REPLACE "[^0-9;]" "" AGN_DNNL_VERSION "${AGN_DNNL_VERSION}")
list(JOIN AGN_DNNL_VERSION . AGN_DNNL_VERSION)
message(STATUS "oneDNN ${AGN_DNNL_VERSION}: ${AGN_DNNL_INCLUDE}, ${AGN_DNNL_LIBRARY}")
add_library(agn_dnnl INTERFACE)
target_include_directories(agn_dnnl SYSTEM INTERFACE ${AGN_DNNL_INCLUDE})
target_link_libraries(agn_dnnl INTERFACE ${AGN_DNNL_LIBRARY})
