# Sourced by check_*.sh: a data set made on the spot, and a preset for it that trains in a second or two.
# shellcheck shell=sh

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"

# make_idx FOLDER PREFIX COUNT: images of 12x12 in four classes, each with another bright quarter, and labels
make_idx() {
    octal=$(printf '\\%03o\\%03o' $(($3 / 256)) $(($3 % 256)))
    {
        # shellcheck disable=SC2059
        printf "\\000\\000\\010\\003\\000\\000$octal\\000\\000\\000\\014\\000\\000\\000\\014"
        awk -v count="$3" 'BEGIN {
            srand(7)
            for (i = 0; i < count; i++) {
                text = ""
                for (p = 0; p < 144; p++) {
                    y = int(p / 12); x = p % 12
                    bright = (int(y / 6) * 2 + int(x / 6)) == i % 4
                    text = text sprintf("\\%03o", (bright ? 120 : 0) + int(rand() * 100))
                }
                print text
            }
        }' | while read -r image; do
            # shellcheck disable=SC2059
            printf "$image"
        done
    } >"$1/$2-images-idx3-ubyte"
    {
        # shellcheck disable=SC2059
        printf "\\000\\000\\010\\001\\000\\000$octal"
        awk -v count="$3" 'BEGIN { for (i = 0; i < count; i++) printf "\\%03o\n", i % 4 }' |
            while read -r label; do
                # shellcheck disable=SC2059
                printf "$label"
            done
    } >"$1/$2-labels-idx1-ubyte"
}

# tiny_set FOLDER: FOLDER/set with 256 + 64 images, FOLDER/presets/tiny.ini, which $AGILENN_PRESETS then has
tiny_set() {
    AGILENN_PRESETS=$1/presets
    mkdir "$1/set" "$1/presets"
    make_idx "$1/set" train 256
    make_idx "$1/set" t10k 64
    cat >"$1/presets/tiny.ini" <<END
[data]
format = idx
path = $1/set
height = 12
width = 12
channels = 1
classes = 4
[model]
extractor = conv:c4:s2 conv:c8
reference = conv:c8:s2
remote = conv:c8:s2
local_channels = 3
grid = 2
[train]
batch = 16
[reference]
epochs = 4
[joint]
epochs = 4
END
}

# tiny_model NAME ARGUMENT...: trains $tmp/NAME/model.safetensors and exports $tmp/NAME.agn. One thread: with two, a busy
# machine makes steps this small many times slower.
tiny_model() {
    name=$1
    shift
    run 0 train --preset tiny --out "$tmp/$name" --no-plots --threads 1 "$@"
    run 0 export "$tmp/$name/model.safetensors" --output "$tmp/$name.agn"
}
