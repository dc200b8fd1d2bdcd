CPU = -mcpu=cortex-m55 -mthumb -mfloat-abi=hard
BOARD_SOURCES = boards/mps.c
# One instruction takes 1024 ns of emulated time: see mps.c.
RUN = timeout 300 qemu-system-arm -M mps3-an547 -nographic -monitor none -serial null -icount shift=10 \
  -semihosting-config enable=on,target=native
RUN_MODEM = timeout 300 qemu-system-arm -M mps3-an547 -nographic -monitor none -serial unix:$(MODEM),server=on,wait=on \
  -semihosting-config enable=on,target=native
