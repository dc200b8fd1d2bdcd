# A Cortex-M0; what is compiled for a Cortex-M0+ has the same instructions.
CPU = -mcpu=cortex-m0plus -mthumb
# 16 KB hold a packet, 2 KB of stack, the device's state and this:
BOARD_FLAGS = -DAPP_ARENA_BYTES=12288
# One instruction takes 1024 ns of emulated time: see board.c.
RUN = timeout 300 qemu-system-arm -M microbit -nographic -monitor none -serial null -icount shift=10 \
  -semihosting-config enable=on,target=native
RUN_MODEM = timeout 300 qemu-system-arm -M microbit -nographic -monitor none -serial unix:$(MODEM),server=on,wait=on \
  -semihosting-config enable=on,target=native
