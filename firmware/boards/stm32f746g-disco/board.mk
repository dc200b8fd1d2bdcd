# ST's STM32F746G-DISCO. MODEM_PORT: usart6 (D0, D1) or uart7 (A2 to A5, with flow control); see modem_uart.c.
CPU = -mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard
BOARD_SOURCES = $(addprefix boards/$(BOARD)/,clock.c cache_mpu.c console.c modem_uart.c)
MODEM_PORT ?= usart6
ifeq ($(MODEM_PORT),uart7)
BOARD_FLAGS = -DBOARD_MODEM_UART7
BOARD_SUFFIX = -uart7
else ifneq ($(MODEM_PORT),usart6)
$(error MODEM_PORT=$(MODEM_PORT): say usart6 or uart7)
endif
# A board on the table: no emulator knows it.
RUN = sh -c 'echo "stm32f746g-disco is not emulated: make flash, see docs/BOARDS.md" >&2; exit 1' -
RUN_MODEM = $(RUN)
OPENOCD_BOARD = board/stm32f7discovery.cfg
