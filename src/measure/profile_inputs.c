/* The inputs of boards and radios. */
#include <stddef.h>

#include "agilenn/base.h"
#include "measure/profile.h"

#define BOARD(member) offsetof(struct agn_board, member)
#define RADIO(member) offsetof(struct agn_radio, member)

static const struct agn__input board_inputs[] = {
    {"processor", "target", "", AGN__INPUT_WORD, BOARD(target), 0, 0,
     "core, as `agilenn export --target` has it"},
    {"processor", "clock_mhz", "MHz", AGN__INPUT_NUMBER, BOARD(clock_mhz), 0.1, 5000, "clock"},
    {"processor", "rated_mhz", "MHz", AGN__INPUT_NUMBER, BOARD(rated_mhz), 0.1, 5000,
     "clock at which run_ma and wait_ma hold"},
    {"processor", "cycles_per_instruction", "cycles", AGN__INPUT_INTERVAL, BOARD(cycles_per_instruction), 0.1,
     50, "of the library's kernels"},
    {"processor", "relative_instructions", "", AGN__INPUT_INTERVAL, BOARD(relative_instructions), 0.01, 100,
     "instructions for the work of one of a Cortex-M7"},
    {"processor", "volts", "V", AGN__INPUT_NUMBER, BOARD(volts), 0.5, 24, "supply"},
    {"processor", "run_ma", "mA", AGN__INPUT_INTERVAL, BOARD(run_ma), 0.001, 5000, "computing at rated_mhz"},
    {"processor", "wait_ma", "mA", AGN__INPUT_INTERVAL, BOARD(wait_ma), 0, 5000,
     "asleep until an interrupt, at rated_mhz"},
    {"memory", "ram_bytes", "B", AGN__INPUT_NUMBER, BOARD(ram_bytes), 1024, 1e10, "RAM on the chip"},
    {"memory", "flash_bytes", "B", AGN__INPUT_NUMBER, BOARD(flash_bytes), 1024, 1e11, "flash"},
    {"board", "image_ms", "ms", AGN__INPUT_NUMBER, BOARD(image_ms), 0, 60000, "from the sensor into memory"},
    {"board", "rest_mw", "mW", AGN__INPUT_INTERVAL, BOARD(rest_mw), 0, 100000,
     "what else the board draws, beside processor and radio"},
};

static const struct agn__input radio_inputs[] = {
    {"link", "rate_kbps", "kbit/s", AGN__INPUT_NUMBER, RADIO(rate_kbps), 0.01, 1e8,
     "on the air, of a datagram's bytes"},
    {"link", "serial_baud", "baud", AGN__INPUT_NUMBER, RADIO(serial_baud), 0, 1e8,
     "serial line between processor and modem, 8N1; 0: none"},
    {"link", "header_bytes", "B", AGN__INPUT_NUMBER, RADIO(header_bytes), 0, 1000,
     "of a datagram: IP and UDP, or what stands for them"},
    {"link", "longest_bytes", "B", AGN__INPUT_NUMBER, RADIO(longest_bytes), 8, 65535,
     "longest datagram, without those headers"},
    {"link", "packets_per_second", "1/s", AGN__INPUT_NUMBER, RADIO(packets_per_second), 0, 1e6,
     "most datagrams that the network allows; 0: no such bound"},
    {"time", "send_ms", "ms", AGN__INPUT_INTERVAL, RADIO(send_ms), 0, 600000,
     "commands to the modem, a datagram"},
    {"time", "air_ms", "ms", AGN__INPUT_INTERVAL, RADIO(air_ms), 0, 600000,
     "preamble, contention, acknowledgement, a datagram"},
    {"time", "network_ms", "ms", AGN__INPUT_INTERVAL, RADIO(network_ms), 0, 600000,
     "from the radio's other side to the server, one way"},
    {"time", "receive_ms", "ms", AGN__INPUT_INTERVAL, RADIO(receive_ms), 0, 600000, "a datagram that comes"},
    {"power", "volts", "V", AGN__INPUT_NUMBER, RADIO(volts), 0.5, 60, "supply"},
    {"power", "sleep_ma", "mA", AGN__INPUT_INTERVAL, RADIO(sleep_ma), 0, 5000,
     "while the processor computes"},
    {"power", "idle_ma", "mA", AGN__INPUT_INTERVAL, RADIO(idle_ma), 0, 5000,
     "waiting for an answer or the serial line"},
    {"power", "transmit_ma", "mA", AGN__INPUT_INTERVAL, RADIO(transmit_ma), 0, 5000, "sending"},
    {"power", "receive_ma", "mA", AGN__INPUT_INTERVAL, RADIO(receive_ma), 0, 5000, "receiving"},
};

const struct agn__input *agn__inputs(enum agn_profile_kind kind, int *count)
{
    bool board = kind == AGN_PROFILE_BOARD;
    *count = board ? AGN_COUNT_OF(board_inputs) : AGN_COUNT_OF(radio_inputs);
    return board ? board_inputs : radio_inputs;
}
