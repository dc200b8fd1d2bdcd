# `cmake --install`, and Debian packages by CPack: the command with its presets, manual pages and service; two libraries
# with headers, pkg-config files and a CMake package. Everything lies below the prefix and finds itself from there.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(AGN_SAMPLES_DIR ${CMAKE_INSTALL_DOCDIR}/examples)
set(AGN_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/agilenn)
set(AGN_UNIT_DIR lib/systemd/system)

# ---- the command ---------------------------------------------------------------------------------

# Made by the command itself, and so only where it runs.
function(agn_add_manual)
  set(folder ${PROJECT_BINARY_DIR}/manual)
  if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
    message(STATUS "Cross-compiling: no manual pages and no completion")
    return()
  endif()
  set(script ${PROJECT_SOURCE_DIR}/cmake/WriteManual.cmake)
  add_custom_command(OUTPUT ${folder}/made
    COMMAND ${CMAKE_COMMAND} -DCOMMAND=$<TARGET_FILE:agilenn> -DFOLDER=${folder} -P ${script}
    DEPENDS agilenn ${script} VERBATIM)
  add_custom_target(agn_manual ALL DEPENDS ${folder}/made)
  foreach(section 1 5)
    install(DIRECTORY ${folder}/man${section} DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT runtime)
  endforeach()
  install(FILES ${folder}/agilenn DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT runtime)
endfunction()

function(agn_install_command)
  set(packaging ${PROJECT_SOURCE_DIR}/packaging)
  install(TARGETS agilenn COMPONENT runtime)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/presets ${PROJECT_SOURCE_DIR}/profiles DESTINATION ${CMAKE_INSTALL_DATADIR}/agilenn COMPONENT runtime
    FILES_MATCHING PATTERN "*.ini")
  agn_add_manual()
  install(FILES ${packaging}/agilenn-server.service DESTINATION ${AGN_UNIT_DIR} COMPONENT runtime)
  install(FILES ${packaging}/agilenn.sysusers DESTINATION lib/sysusers.d RENAME agilenn.conf COMPONENT runtime)
  install(FILES ${packaging}/agilenn.tmpfiles DESTINATION lib/tmpfiles.d RENAME agilenn.conf COMPONENT runtime)
  install(FILES ${packaging}/agilenn-server.conf ${packaging}/nginx-agilenn.conf ${packaging}/prometheus.yml
    ${packaging}/agilenn-alerts.yml ${packaging}/grafana-agilenn.json DESTINATION ${AGN_SAMPLES_DIR} COMPONENT runtime)
  file(GLOB pages ${PROJECT_SOURCE_DIR}/docs/*.md)
  install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/NOTICE ${pages} DESTINATION ${CMAKE_INSTALL_DOCDIR}
    COMPONENT runtime)
endfunction()

# ---- libraries -----------------------------------------------------------------------------------

# One archive of several rooms: libagilenn_device.a, which needs nothing, and libagilenn.a, which needs it and what
# agn_find_library has found.
function(agn_add_archive target output)
  set(objects "")
  foreach(room IN LISTS ARGN)
    list(APPEND objects $<TARGET_OBJECTS:agn_${room}>)
  endforeach()
  add_library(${target} STATIC ${objects})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${output} LINKER_LANGUAGE C)
  install(TARGETS ${target} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
endfunction()

# "-ldnnl", with a folder where the linker would not look by itself.
function(agn_linker_words output)
  set(words "")
  foreach(library IN LISTS ARGN)
    get_filename_component(folder ${library} DIRECTORY)
    get_filename_component(name ${library} NAME_WE)
    string(REGEX REPLACE "^lib" "-l" name ${name})
    get_filename_component(folder ${folder} REALPATH)
    set(usual "")
    foreach(known IN LISTS CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
      get_filename_component(known ${known} REALPATH)
      list(APPEND usual ${known})
    endforeach()
    if(NOT folder IN_LIST usual)
      list(APPEND words -L${folder})
    endif()
    list(APPEND words ${name})
  endforeach()
  set(${output} ${words} PARENT_SCOPE)
endfunction()

function(agn_install_libraries)
  set(headers ${CMAKE_INSTALL_INCLUDEDIR}/agilenn)
  agn_add_archive(agn_device_archive agilenn_device wire device drivers)
  agn_add_archive(agn_host_archive agilenn ${AGN_HOST_ROOMS})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/agilenn/ DESTINATION ${headers} COMPONENT development)
  foreach(folder wire device firmware/drivers)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}/ DESTINATION ${headers}/device COMPONENT development
      FILES_MATCHING PATTERN "*.h"
      PATTERN "*_internal.h" EXCLUDE PATTERN "agn_kernel*.h" EXCLUDE PATTERN "agn_simd.h" EXCLUDE PATTERN "agn_memory.h" EXCLUDE PATTERN "agn_layout.h" EXCLUDE PATTERN "agn_graph.h" EXCLUDE PATTERN "agn_pool.h" EXCLUDE)
  endforeach()

  get_property(modules GLOBAL PROPERTY AGN_PKGCONFIG_MODULES)
  agn_linker_words(libraries ${AGN_DNNL_LIBRARY} ${AGN_USED_XNNPACK})
  separate_arguments(openmp UNIX_COMMAND "${OpenMP_C_FLAGS}")
  list(APPEND libraries ${openmp} -pthread -lm)
  if(AGN_SANITIZE)
    list(APPEND libraries -fsanitize=${AGN_SANITIZE})
  endif()
  list(JOIN modules " " AGN_PC_REQUIRES)
  list(JOIN libraries " " AGN_PC_LIBS)
  file(RELATIVE_PATH AGN_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  foreach(name agilenn agilenn-device)
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/generated/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/generated/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
      COMPONENT development)
  endforeach()

  set(folder ${PROJECT_BINARY_DIR}/generated)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/agilenn-config.cmake.in ${folder}/agilenn-config.cmake
    INSTALL_DESTINATION ${AGN_CMAKE_DIR} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
  write_basic_package_version_file(${folder}/agilenn-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${folder}/agilenn-config.cmake ${folder}/agilenn-config-version.cmake DESTINATION ${AGN_CMAKE_DIR}
    COMPONENT development)
endfunction()
