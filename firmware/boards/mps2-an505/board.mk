CPU = -mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16
BOARD_SOURCES = boards/mps.c
# One instruction takes 1024 ns of emulated time: see mps.c.
RUN = timeout 300 qemu-system-arm -M mps2-an505 -nographic -monitor none -serial null -icount shift=10 \
  -semihosting-config enable=on,target=native
RUN_MODEM = timeout 300 qemu-system-arm -M mps2-an505 -nographic -monitor none -serial unix:$(MODEM),server=on,wait=on \
  -semihosting-config enable=on,target=native
