# make            build/memnet                     make check      every test, through prove
# make asan       the unit tests under ASan+UBSan  make lint       every style check
# make fuzz       FUZZ_SECONDS=10 each             make bench      measurements
# make soak       SOAK_SECONDS=3600
# make install    DESTDIR= PREFIX=/usr/local       make uninstall  removes just that
#
# V=1 shows the commands. Nothing here touches the network: ./build.sh fetched what this needs, and
# ./build.sh test (or bench) what the tests need.

VERSION      := 0.1.0
PREFIX       ?= /usr/local
CFLAGS       ?= -Os -g
FUZZ_SECONDS ?= 10

MAKEFLAGS    += --no-builtin-rules --no-print-directory
export SOURCE_DATE_EPOCH := 0
.DELETE_ON_ERROR:

say = $(if $(V),,@echo '  $(1)	$@' &&)

# Flavours ---------------------------------------------------------------------------------------
# The same rules build every flavour, each into a folder $O of its own and its libraries into $D:
#   static  musl, static-pie: what is installed       asan  glibc with sanitizers: the unit tests
#   lint    as static, warnings are errors, not run   fuzz  as asan, with libFuzzer

FLAVOUR   ?= static
src       := build/deps/src
musl      := /usr/lib/$(shell uname -m)-linux-musl
address   := -fsanitize=address -fno-omit-frame-pointer
undefined := -fsanitize=undefined -fno-sanitize-recover=all
fuzzer    := -fsanitize=fuzzer-no-link
hardened  := -fPIE -fstack-protector-strong -fstack-clash-protection -ffunction-sections \
             -fdata-sections -fno-asynchronous-unwind-tables -isystem build/deps/kernel
warnings  := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 \
             -Wwrite-strings
strict    := -Werror -Wconversion -Wno-sign-conversion

# Set for each flavour: $O, $D, CC, link, and the flags of our sources and of theirs, where UBSan
# would find what is not ours to mend.
O := build/$(FLAVOUR)
D := build/deps/$(FLAVOUR)
ifeq ($(FLAVOUR),static)
O        := build
CC       := gcc -specs build/deps/static-pie.specs
ours      = $(hardened) $(warnings)
theirs    = $(hardened)
link     := -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,-z,stack-size=1048576
prepared := build/deps/kernel build/deps/static-pie.specs
else ifeq ($(FLAVOUR),lint)
CC       := gcc -specs build/deps/static-pie.specs
ours      = $(hardened) $(warnings) $(strict)
prepared := build/deps/kernel build/deps/static-pie.specs
else ifeq ($(FLAVOUR),asan)
CC       := $(or $(SAN_CC),gcc)
ours      = $(warnings) $(address) $(undefined)
theirs    = $(address)
link      = $(address) $(undefined)
else ifeq ($(FLAVOUR),fuzz)
CC       := clang
ours      = $(address) $(undefined) $(fuzzer)
theirs    = $(address) $(fuzzer)
link      = -fsanitize=fuzzer $(address) $(undefined)
endif

# musl has no macro that tells; its loader does.
musl_version := $(shell $(musl)/libc.so 2>&1 | sed -n 's/^Version //p')

# Includes spell the layer, "space/record.h", and anything in angle brackets is not ours.
cflags = -std=gnu11 -pthread -D_GNU_SOURCE -DMEMNET_VERSION='"$(VERSION)"' \
         -DMUSL_VERSION='"$(musl_version)"' \
         -iquote core -iquote . -isystem $(src) -isystem $(src)/libnl3/include \
         -isystem $(src)/libzstd/lib -ffile-prefix-map='$(CURDIR)'=. $(ours) $(CFLAGS)

# Sources ----------------------------------------------------------------------------------------

core    := $(wildcard core/*/*.c)
cmd     := $(filter-out cmd/main.c,$(wildcard cmd/*.c))
units   := $(wildcard tests/*/*_test.c)
fuzz    := $(wildcard tests/fuzz/*_fuzz.c)
benches := $(wildcard tests/bench/*_bench.c)

cjson := $(src)/cjson/cJSON.c
zstd  := $(wildcard $(addprefix $(src)/libzstd/lib/,common/*.c compress/*.c decompress/*.[cS]))
nl    := $(wildcard $(addprefix $(src)/libnl3/lib/,*.c genl/*.c))

# What memnet-bench runs besides: installed with it.
helpers := $(if $(filter static,$(FLAVOUR)),$(addprefix $O/tests/bench/,client_bench power_bench))

all_c := $(core) $(cmd) cmd/main.c $(units) $(fuzz) $(benches)
own   = $(patsubst %.c,$O/obj/%.o,$(1))
third = $(patsubst $(src)/%,$D/obj/%.o,$(basename $(1)))
libs := $O/libcmd.a $O/libcore.a $D/libcjson.a $D/libzstd.a $D/libnl.a

all: $O/memnet $(helpers)
deps: $D/libcjson.a $D/libzstd.a $D/libnl.a
units: $(units:%.c=$O/%)
fuzzers: $(fuzz:%.c=$O/%)
objects: $(call own,$(all_c))

# Rules ------------------------------------------------------------------------------------------

# $(call note,FILE,TEXT): FILE holds TEXT and is only written when it changes, so that what hangs
# on it is made again after a change of flags, or of the list of files.
define note
$(1): FORCE
	@mkdir -p $$(@D) && echo $(call quote,$(2)) | cmp -s - $$@ || echo $(call quote,$(2)) >$$@
endef
quote = '$(subst ','\'',$(1))'

define archive
$(1): $(2) $(1:.a=.members) | $(src)
	$$(call say,AR) rm -f $$@ && ar rcsD $$@ $(2)
$(call note,$(1:.a=.members),$(2))
endef

$(eval $(call archive,$O/libcore.a,$(call own,$(core))))
$(eval $(call archive,$O/libcmd.a,$(call own,$(cmd))))
$(eval $(call archive,$D/libcjson.a,$(call third,$(cjson))))
$(eval $(call archive,$D/libzstd.a,$(call third,$(zstd))))
$(eval $(call archive,$D/libnl.a,$(call third,$(nl))))
$(eval $(call note,$O/flags,$(CC) $(cflags) $(link)))

$O/memnet: $O/obj/cmd/main.o $(libs)
	$(call say,LINK) $(CC) $(link) -pthread -o $@.debug $^ -lm && strip -o $@ $@.debug

$(patsubst %.c,$O/%,$(units) $(fuzz) $(benches)): $O/%: $O/obj/%.o $(libs)
	@mkdir -p $(@D)
	$(call say,LINK) $(CC) $(link) -pthread -o $@ $^ -lm

# Conversions matter where a peer's bytes are read.
$O/obj/tests/%.o: strict := -Werror

# Reads what we made with zstd's own reader of seekable files.
$O/obj/tests/guest/seektable_test.o: ours += -DXXH_NAMESPACE=ZSTD_ \
	-isystem $(src)/libzstd/lib/common -isystem $(src)/libzstd/contrib/seekable_format

$O/obj/%.o: %.c $O/flags | $(src) $(prepared)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(cflags) -MMD -MP -c -o $@ $<

# The controller's decisions are the same on every machine: no multiply-add is fused into one rounding.
$O/obj/core/control/%.o: ours += -ffp-contract=off

# Not -O3, zstd's own choice: 106 KB more, and no faster. Nor everything once more for BMI2: 37 KB.
zstd_flags := -DZSTD_MULTITHREAD -DZSTD_LEGACY_SUPPORT=0 -DXXH_NAMESPACE=ZSTD_ -DDYNAMIC_BMI2=0
$D/obj/libzstd/%.o: theirs += $(zstd_flags)
# memnet uses no dictionaries. Where zstd chooses a block compressor, those for dictionaries are
# spelt as the plain ones: nothing refers to the former then, and the linker drops their 138 KB.
lazy := greedy lazy lazy2
for_dictionaries := $(addsuffix _dictMatchState,fast doubleFast $(lazy) btlazy2 btopt btultra) \
	$(addsuffix _dictMatchState_row,$(lazy)) $(addsuffix _dedicatedDictSearch,$(lazy)) \
	$(addsuffix _dedicatedDictSearch_row,$(lazy))
without_dictionaries := $(foreach s,$(for_dictionaries),-DZSTD_compressBlock_$s=ZSTD_compressBlock_$(subst \
	_dedicatedDictSearch,,$(subst _dictMatchState,,$s)))
$D/obj/libzstd/lib/compress/zstd_compress.o: theirs += $(without_dictionaries)
# Instead of libnl's configure, of which this is all that libnl-3 and libnl-genl-3 would use.
$D/obj/libnl3/%.o: theirs += -I$(src)/libnl3/include/linux-private -I$(src)/libnl3/include \
	-I$D -DSYSCONFDIR='"/etc/libnl"' -DHAVE_STRERROR_L
$(call third,$(nl)): | $D/defs.h
# Neither is where the time goes.
small := -Os
$D/obj/libnl3/%.o $D/obj/cjson/%.o: theirs += $(small)

$(eval $(call note,$D/flags,$(CC) -O2 $(theirs) $(zstd_flags) $(without_dictionaries) $(small)))
$D/obj/%.o: $(src)/%.c $D/flags | $(src) $(prepared)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(theirs) -c -o $@ $<

$D/obj/%.o: $(src)/%.S $D/flags | $(src) $(prepared)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(theirs) -c -o $@ $<

$D/defs.h: | $(src)
	@mkdir -p $(@D) && : >$@

# musl knows nothing of the kernel's headers, and may see no others of the system's.
build/deps/kernel: | $(src)
	@mkdir -p $@.part && ln -sfn /usr/include/linux /usr/include/asm-generic \
		/usr/include/$(shell gcc -dumpmachine)/asm $@.part && mv -T $@.part $@

static-pie := -nostdlib -static -pie --no-dynamic-linker -z text

# musl-gcc links -static-pie dynamically without a word; with these specs it is what it says.
build/deps/static-pie.specs: $(musl)/musl-gcc.specs | $(src)
	@sed -e 's|Scrt1\.o|rcrt1.o|' -e 's|^-dynamic-linker.*|$(static-pie)|' $< >$@

$(src) $(musl)/musl-gcc.specs:
	@echo 'make: $@ is missing: run ./build.sh, which fetches it' >&2 && exit 1

-include $(patsubst %.o,%.d,$(call own,$(all_c)))

# Tests ------------------------------------------------------------------------------------------

tests: all units
	@$(MAKE) FLAVOUR=asan units
	@$(MAKE) FLAVOUR=fuzz fuzzers

check: tests
	@tests/run

asan:
	@$(MAKE) FLAVOUR=asan units
	@tests/run asan

fuzz:
	@$(MAKE) FLAVOUR=fuzz fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run fuzz

bench: all $(benches:%.c=$O/%)
	@$(foreach script,$(filter-out %/readme.sh %/soak.sh,$(wildcard tests/bench/*.sh)), \
		echo '== $(script)' && tests/run -- $(script) &&) :
	@echo '== memnet-bench' && rm -rf build/bench && \
		tests/run -- share/bench/memnet-bench --quick -o build/bench

soak: all
	@tests/run -- tests/bench/soak.sh

# Lint -------------------------------------------------------------------------------------------

# Compiler, formatter and analyser, then the languages that are not C.
lint: lint-warnings lint-format lint-bugs lint-includes lint-shell lint-man

lint-warnings:
	@$(MAKE) FLAVOUR=lint objects

lint-format:
	clang-format --dry-run -Werror $(wildcard cmd/*.[ch] core/*/*.[ch] tests/*.h tests/*/*.[ch])

# cppcheck follows values, clang-tidy knows idioms. Not the clang analyser: it takes no notice of the
# cleanup attributes that this code lives by. NULL is a pointer in both our libcs.
lint-bugs:
	cppcheck -q -j2 --error-exitcode=1 --enable=warning,portability --suppress=varFuncNullUB \
		--suppress=normalCheckLevelMaxBranches --inline-suppr --std=c11 -D_GNU_SOURCE \
		-DMEMNET_VERSION='""' -Icore -I. core cmd
	clang-tidy --quiet --config-file=tests/lint/clang-tidy $(core) $(cmd) cmd/main.c -- $(cflags)

lint-includes:
	tests/lint/includes.sh .

lint-shell:
	tests/lint/shell.sh
	tests/lint/forgiven.sh

lint-man:
	$(foreach page,$(wildcard man/*.[1-8]),mandoc -T lint -W warning $(page) &&) :

# Install ----------------------------------------------------------------------------------------
# Rows of mode:source:destination below PREFIX, walked by install and by uninstall alike. A command
# is what has a manual page memnet-COMMAND(1). share/ goes where systemd looks, or to share/memnet/.

commands := $(patsubst man/memnet-%.1,memnet-%,$(wildcard man/memnet-*.1))
shared   := $(filter-out share/bench/memnet-bench,$(shell find share -type f 2>/dev/null | LC_ALL=C sort))
units_of := %.service %.socket %.timer %.path %.slice %.target
rows      = $(foreach f,$(2),$(1):$f:$(3)/$(notdir $f))

files := 755:build/memnet:bin/memnet 755:share/bench/memnet-bench:bin/memnet-bench \
	$(call rows,755,$(helpers),libexec/memnet) 644:tests/guest/vm.sh:share/memnet/bench/vm.sh \
	$(foreach f,$(wildcard man/*.[1-8]),$(call rows,644,$f,share/man/man$(lastword $(subst ., ,$f)))) \
	$(foreach f,$(wildcard completions/*.bash),644:$f:share/bash-completion/completions/memnet) \
	$(call rows,644,$(wildcard completions/_*),share/zsh/site-functions) \
	$(call rows,644,$(wildcard completions/*.fish),share/fish/vendor_completions.d) \
	$(call rows,644,$(filter $(units_of),$(shared)),lib/systemd/system) \
	$(call rows,644,$(filter share/tmpfiles.d/%,$(shared)),lib/tmpfiles.d) \
	$(foreach f,$(filter-out $(units_of) share/tmpfiles.d/%,$(shared)),644:$f:share/memnet/$(f:share/%=%))

# Each command has its link, and bash looks for a completion by the command's name.
links := $(commands:%=bin/%) \
	$(if $(wildcard completions/*.bash),$(commands:%=share/bash-completion/completions/%))

field = $(word $(1),$(subst :, ,$(2)))
to    = "$(DESTDIR)$(PREFIX)/$(1)"

install: all
	@$(foreach row,$(files),install -D -m $(call field,1,$(row)) $(call field,2,$(row)) \
		$(call to,$(call field,3,$(row))) &&) :
	@$(foreach link,$(links),ln -sfn memnet $(call to,$(link)) &&) :

uninstall:
	@rm -f $(foreach row,$(files),$(call to,$(call field,3,$(row)))) \
		$(foreach link,$(links),$(call to,$(link)))
	@for dir in $(call to,share/memnet) $(call to,libexec/memnet); do \
		[ ! -d "$$dir" ] || find "$$dir" -depth -type d -empty -delete; done

clean distclean:
	@./build.sh $@

.PHONY: FORCE all deps units fuzzers objects tests check asan fuzz bench soak lint lint-warnings \
	lint-format lint-bugs lint-includes lint-shell lint-man install uninstall clean distclean
