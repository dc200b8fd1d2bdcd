# A Cortex-M3. With CPU='-mcpu=cortex-m0plus -mthumb' it runs a Cortex-M0+'s code, whose instructions are a subset.
CPU = -mcpu=cortex-m3 -mthumb
BOARD_SOURCES = boards/mps.c
# One instruction takes 1024 ns of emulated time: see mps.c.
RUN = timeout 300 qemu-system-arm -M mps2-an385 -nographic -monitor none -serial null -icount shift=10 \
  -semihosting-config enable=on,target=native
RUN_MODEM = timeout 300 qemu-system-arm -M mps2-an385 -nographic -monitor none -serial unix:$(MODEM),server=on,wait=on \
  -semihosting-config enable=on,target=native
