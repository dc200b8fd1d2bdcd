/* Arm MPS2+ AN385 under QEMU: AN500's board with a Cortex-M3 on it. */
#include "../mps2-an500/board.c"
