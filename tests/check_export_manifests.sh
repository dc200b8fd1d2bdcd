#!/bin/sh
# What describes an exported folder to build systems says the truth: the CMSIS-Pack's .pdsc, and the files of Arduino,
# PlatformIO and ESP-IDF. Every file that is named is there, every C file is named, what a component needs is in those that it
# requires. AGN_PACK_XSD=FILE: the .pdsc is held to this schema (PACK.xsd of Open-CMSIS-Pack), too. Exit code 77: no python3.
set -eu
# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
need python3
version=$("$bin" --version | sed 's/^agilenn \([^ ]*\).*/\1/')
cat >"$tmp/check.py" <<'PYTHON'
import configparser, json, pathlib, subprocess, sys
import xml.etree.ElementTree as xml

folder, prefix, version, objects = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4])
files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def check(holds, what):
    if not holds:
        sys.exit("FAILED: " + what)


def symbols(path, kinds):
    lines = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[-1] for line in lines if line.split()[-2] in kinds}


# The manifest of the export itself.
listed = (folder / "agilenn-export.txt").read_text().split()
check(len(listed) == len(set(listed)) and set(listed) == files, "agilenn-export.txt: %s" % (set(listed) ^ files))

# The pack. Files of src/ are the others once more.
pack = xml.parse(folder / ("AgileNN.%s_model.pdsc" % prefix)).getroot()
check(pack.findtext("name") == prefix + "_model" and pack.findtext("vendor") == "AgileNN", ".pdsc: name or vendor")
check(pack.find("releases/release").get("version").split("+")[0] == version, ".pdsc: version")
needs = {c.get("id"): {(r.get("Cgroup"), r.get("Csub")) for r in c.findall("require")} for c in pack.findall("conditions/condition")}
components = {(c.get("Cgroup"), c.get("Csub")): c for c in pack.findall("components/component")}
check(set(components) == {("AgileNN", "Runtime"), ("AgileNN", "Link"), ("AgileNN", "ESP-AT Driver"), ("AgileNN Model", prefix)},
      ".pdsc: components %s" % list(components))
named, defined, wanted = [], {}, {}
for key, component in components.items():
    check(component.get("Cversion") == version, ".pdsc: version of %s" % key[1])
    defined[key], wanted[key] = set(), set()
    for file in component.findall("files/file"):
        name = file.get("name")
        if file.get("category") == "include":
            check((folder / name).is_dir(), ".pdsc: folder %s" % name)
            continue
        named.append(name)
        check(name in files, ".pdsc: there is no %s" % name)
        if file.get("category") == "sourceC" and file.get("attr") is None:
            subprocess.run(["cc", "-std=c99", "-O1", "-I", folder, "-c", folder / name, "-o", objects / "pack.o"], check=True)
            defined[key] |= symbols(objects / "pack.o", "TRDBC")
            wanted[key] |= symbols(objects / "pack.o", "U")
check(len(named) == len(set(named)), ".pdsc: a file is named twice")
sources = {name for name in files if name.endswith((".c", ".h")) and not name.startswith("src/")}
check(sources <= set(named), ".pdsc does not name %s" % (sources - set(named)))
for key, component in components.items():
    condition = component.get("condition")
    check(condition is None or condition in needs, ".pdsc: condition %s" % condition)
    have = set(defined[key])
    for required in needs.get(condition, ()):
        check(required in components, ".pdsc: no component %s" % (required,))
        have |= defined[required]
    lacks = {s for s in wanted[key] - have if s.startswith(("agn_", "esp_", prefix))}
    check(not lacks, ".pdsc: %s lacks %s" % (key[1], lacks))

# PlatformIO
library = json.loads((folder / "library.json").read_text())
check(library["version"] == version, "library.json: version")
for entry in library["build"]["srcFilter"]:
    path = folder / entry[2:-1]
    check(entry.startswith("+<") and (path.is_file() or any(path.glob("*.c"))), "library.json: %s" % entry)
# Arduino
properties = configparser.ConfigParser()
properties.read_string("[all]\n" + (folder / "library.properties").read_text())
check(properties["all"]["version"] == version, "library.properties: version")
check(all(k in properties["all"] for k in ("name", "author", "maintainer", "sentence", "paragraph", "category", "architectures")),
      "library.properties: a key is missing")
check("src/" + properties["all"]["includes"] in files, "library.properties: includes")
wrapped = {p.read_text().split('"../')[1].split('"')[0] for p in (folder / "src").glob("*.c")}
check(wrapped == {n for n in files if n.endswith(".c") and not n.startswith(("src/", "example"))}, "src/: %s" % wrapped)
# ESP-IDF, Zephyr: flat YAML
component = dict(line.split(": ", 1) for line in (folder / "idf_component.yml").read_text().splitlines())
check(component["version"] == '"%s"' % version and component["description"], "idf_component.yml")
module = (folder / "zephyr/module.yml").read_text()
check((folder / module.split("kconfig: ")[1].split()[0]).is_file() and "cmake: ." in module, "zephyr/module.yml")
print("%s: %d files, %d of them named by the pack" % (prefix, len(files), len(named)))
PYTHON

for prefix in agn Abcdefghijklmnopqrstuvwxyz_23456; do
    lower=$(echo "$prefix" | tr '[:upper:]' '[:lower:]')
    "$bin" export --preset fashion-v1 --output "$tmp/model.agn" --c-source "$tmp/c" --prefix "$prefix" >/dev/null 2>&1 || exit 1
    python3 "$tmp/check.py" "$tmp/c" "$lower" "$version" "$tmp"
    if command -v xmllint >/dev/null 2>&1; then
        xmllint --noout ${AGN_PACK_XSD:+--schema "$AGN_PACK_XSD"} "$tmp"/c/AgileNN.*.pdsc
    fi
done
