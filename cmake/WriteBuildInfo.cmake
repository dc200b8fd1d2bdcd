# Writes OUTPUT (agn_build.h): version from the project, commit from git. Run by cmake -P.
# Takes no lock on the index, so that a build never stands in the way of a commit.
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE AGN_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR NOT AGN_COMMIT)
  set(AGN_COMMIT unknown)
else()
  execute_process(COMMAND git --no-optional-locks -C ${SOURCE_DIR} status --porcelain --untracked-files=no
    OUTPUT_VARIABLE changes ERROR_QUIET)
  if(changes)
    string(APPEND AGN_COMMIT "-dirty")
  endif()
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/agn_build.h.in ${OUTPUT} @ONLY)
