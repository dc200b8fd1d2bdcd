# Writes OUTPUT: the files of LISTED (name in the exported folder=path;...) as bytes, for src/deploy/c_source.c.
# Run by cmake -P.
set(arrays "")
set(table "")
set(number 0)
foreach(entry IN LISTS LISTED)
  string(REGEX MATCH "^([^=]*)=(.*)$" matched "${entry}")
  set(name ${CMAKE_MATCH_1})
  file(READ ${CMAKE_MATCH_2} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "static const unsigned char file_${number}[] = {\n${bytes}};\n")
  string(APPEND table "    {\"${name}\", file_${number}, sizeof(file_${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "/* Made by cmake/EmbedRuntime.cmake. */\n#include \"deploy/runtime_files.h\"\n\n${arrays}\n"
  "const struct agn__runtime_file agn__runtime_files[] = {\n${table}};\nconst int agn__runtime_file_count = ${number};\n")
