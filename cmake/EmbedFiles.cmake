# Writes OUTPUT: the files of LISTED (name=path;...) as bytes in agn__NAME_files, which HEADER declares as an array of
# struct agn_embedded_file with its count. Run by cmake -P.
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
file(WRITE ${OUTPUT} "/* Made by cmake/EmbedFiles.cmake. */\n#include \"${HEADER}\"\n\n${arrays}\n"
  "const struct agn_embedded_file agn__${NAME}_files[] = {\n${table}};\nconst int agn__${NAME}_file_count = ${number};\n")
