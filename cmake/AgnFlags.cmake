# Compiler flags shared by every target.

add_library(agn_flags INTERFACE)
target_compile_options(agn_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow)
if(AGN_WERROR)
  target_compile_options(agn_flags INTERFACE -Werror)
endif()
target_include_directories(agn_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/wire ${PROJECT_SOURCE_DIR}/device
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/firmware)

if(AGN_SANITIZE)
  add_compile_options(-fsanitize=${AGN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O2)
  add_link_options(-fsanitize=${AGN_SANITIZE})
endif()
if(AGN_LIBFUZZER)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "AGN_LIBFUZZER needs clang: configure with -DCMAKE_C_COMPILER=clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# wire/, device/ and firmware/drivers/ run without a C library or an operating system.
add_library(agn_freestanding INTERFACE)
target_compile_options(agn_freestanding INTERFACE -ffreestanding -Wpedantic)

# Numeric rooms: no errno from libm, fused multiply-add where the target has it, and comparisons that need not
# raise flags for NaN (without this, loops that clamp vectorise neither for SSE2 nor for NEON). Nothing here
# reorders sums or drops NaN, so results depend on the thread count and the instruction set only.
add_library(agn_numeric INTERFACE)
target_compile_options(agn_numeric INTERFACE -fno-math-errno -fno-trapping-math -ffp-contract=fast)
