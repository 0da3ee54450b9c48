# make demo   set up everything and run the main job end to end on the phantom world
# make test   set up everything and run the tests       make lint   ruff and the type checker
# make demo-li2026, make demo-classes: Li et al.'s system, and three classes in two stages or in one
# make demo-faces: Face2Bone, from photographs; make demo-variants: its ablations and baselines
# make demo-fusion: radiographs teach faces, both as one score; make demo-sweep: a sweep after make demo
# make bench  side-by-side benchmarks                   make bench-method  5-seed comparison of methods
# make bench-regions  does the region that carries the signal come first?
SHELL := /bin/bash
PYTHON ?= python3.11
PY := .venv/bin/python
STAMP := .venv/.set-up
DEMO := demo
# make demo FRESH=1 starts over; make demo PUBLIC=folder takes real X-rays (NIH layout) as public set
FRESH ?=
PUBLIC ?= $(DEMO)/world/public
fresh := $(if $(FRESH),--fresh)
public := $(notdir $(abspath $(PUBLIC)))
key := --key-file $(DEMO)/world/pseudonym.key

.PHONY: setup demo demo-li2026 demo-classes demo-faces demo-variants demo-fusion demo-sweep test lint bench bench-method bench-regions lock
.DELETE_ON_ERROR:

setup: $(STAMP)

# uv is used where it is installed, else it is fetched into the new environment by pip.
# --compile-bytecode: Ray starts many processes, and each would compile torch anew without it.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: no $(PYTHON) on PATH (make PYTHON=/path/to/python3.11)"; exit 1; }
	@set -euo pipefail; \
	if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then \
	  uv=uv; uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .venv; \
	elif $(PYTHON) -m venv .venv 2>/dev/null; then \
	  $(PY) -m pip install --quiet uv; uv=.venv/bin/uv; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	  $(PYTHON) -m venv --without-pip .venv; $(PYTHON) -m pip --python $(PY) install --quiet uv; uv=.venv/bin/uv; \
	else \
	  echo "This Python has neither venv nor pip: apt-get install python3.11-venv, then make again"; exit 1; \
	fi; \
	echo "Installing the locked environment into .venv (about 7 GB on disk, a few minutes on a fresh machine)"; \
	$$uv pip sync --quiet --python $(PY) --compile-bytecode --require-hashes requirements.lock; \
	$(PY) -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "osteoray.pth").write_text(str(pathlib.Path.cwd()) + "\n")'
	@touch $(STAMP)

# The main job, as a user would type it: world -> shards -> Ray Train -> report.
demo: export OSTEORAY_HOME := $(abspath $(DEMO))
demo: setup
	$(PY) -m data_sharding phantom $(DEMO)/world --internal 1200 $(fresh)
	$(PY) -m data_sharding pack $(DEMO)/world/asan $(DEMO)/shards/asan $(key) $(fresh)
	$(PY) -m data_sharding pack $(DEMO)/world/north $(DEMO)/shards/north --role external --against $(DEMO)/shards/asan $(key) $(fresh)
	$(PY) -m data_sharding pack $(PUBLIC) $(DEMO)/shards/$(public) --role public --against $(DEMO)/shards/asan --against $(DEMO)/shards/north $(key) $(fresh)
	$(PY) -m training ospenscreen:smoke paths.public=$(DEMO)/shards/$(public) $(fresh)
	$(PY) -m eval report $(DEMO)/runs/latest --ceiling $(DEMO)/world/world.json

# Li et al. 2026 in small: 16-bit shards, five folds side by side, clinical and combined models,
# two external hospitals and pictures without DXA, one report.
LI := $(DEMO)/li2026
li := $(LI)/shards
demo-li2026: export OSTEORAY_HOME := $(abspath $(LI))
demo-li2026: PUBLIC := $(LI)/world/public
demo-li2026: key := --key-file $(LI)/world/pseudonym.key
demo-li2026: as := --policy li2026/1 --pixels cxr16/1 --size 192
demo-li2026: setup
	$(PY) -m data_sharding phantom $(LI)/world --internal 900 --external 300 --south 300 --public 60 --osteoporosis 0.3 --size 256 $(fresh)
	$(PY) -m data_sharding pack $(LI)/world/asan $(li)/asan $(as) $(key) $(fresh)
	$(PY) -m data_sharding pack $(LI)/world/north $(li)/north --role external --against $(li)/asan $(as) $(key) $(fresh)
	$(PY) -m data_sharding pack $(LI)/world/south $(li)/south --role external --against $(li)/asan $(as) $(key) $(fresh)
	$(PY) -m data_sharding pack $(PUBLIC) $(li)/$(public) --role public --pixels cxr16/1 --size 192 --against $(li)/asan $(key) $(fresh)
	$(PY) -m training li2026:smoke --folds 5 compute.workers=1 "paths.external=[$(li)/north,$(li)/south]" "paths.unlabelled=[$(li)/$(public)]" $(fresh)
	$(PY) -m eval clinical $(LI)/runs/latest
	$(PY) -m eval report $(LI)/runs/latest --ceiling $(LI)/world/world.json

# Normal, low bone mass, osteoporosis: a first stage and OsPenScreen on the rest, against one model
# of three classes, with softmax and with two cuts on one scale.
CL := $(DEMO)/classes
cl := $(CL)/shards
demo-classes: export OSTEORAY_HOME := $(abspath $(CL))
demo-classes: key := --key-file $(CL)/world/pseudonym.key
demo-classes: setup
	$(PY) -m data_sharding phantom $(CL)/world --internal 1200 --external 400 --osteoporosis 0.25 $(fresh)
	$(PY) -m data_sharding pack $(CL)/world/asan $(cl)/asan --policy three-class/1 $(key) $(fresh)
	$(PY) -m data_sharding pack $(CL)/world/north $(cl)/north --policy three-class/1 --role external --against $(cl)/asan $(key) $(fresh)
	$(PY) -m data_sharding pack $(CL)/world/public $(cl)/public --role public --against $(cl)/asan --against $(cl)/north $(key) $(fresh)
	$(PY) -m training osteoporosis:smoke paths.runs=$(CL)/first $(fresh)
	$(PY) -m training ospenscreen:smoke paths.runs=$(CL)/second $(fresh)
	$(PY) -m training three_classes:smoke paths.runs=$(CL)/softmax $(fresh)
	$(PY) -m training three_classes:smoke model.ordinal=true paths.runs=$(CL)/ordinal $(fresh)
	$(PY) -m eval classes --first $(CL)/first/latest --second $(CL)/second/latest \
	  --unified $(CL)/softmax/latest --unified $(CL)/ordinal/latest --out $(CL)/compared

# Face2Bone in small: photographs, faces, three classes, and what of a face speaks for the answer.
FA := $(DEMO)/faces
demo-faces: export OSTEORAY_HOME := $(abspath $(FA))
demo-faces: setup
	$(PY) -m data_sharding phantom $(FA)/world --faces 500 --internal 0 --external 0 --public 0 --osteoporosis 0.33 $(fresh)
	$(PY) -m data_sharding pack $(FA)/world/faces $(FA)/shards/faces --key-file $(FA)/world/pseudonym.key $(fresh)
	$(PY) -m training face2bone:smoke $(fresh)
	$(PY) -m eval report $(FA)/runs/latest --ceiling $(FA)/world/world.json
	$(PY) -m eval faces $(FA)/runs/latest --show-faces --each 12 --people 2

# Its ablations and baselines in one table, on pictures of 48 pixels, without Ray (VGG16 has 138
# million parameters to exchange and to step).
demo-variants: export OSTEORAY_HOME := $(abspath $(FA))
demo-variants: setup
	$(PY) -m training variants face2bone:smoke input.size=48 image.epochs=10 compute.launcher=local paths.runs=$(FA)/variants $(fresh)
	$(PY) -m eval variants $(FA)/variants/variants.json --out $(FA)/variants/table

# Radiographs teach faces; and face, radiograph and clinical scores as one, of people who have both.
FU := $(DEMO)/fusion
demo-fusion: export OSTEORAY_HOME := $(abspath $(FU))
demo-fusion: key := --key-file $(FU)/world/pseudonym.key
demo-fusion: short := compute.launcher=local image.epochs=12 image.augment=weak
demo-fusion: setup
	$(PY) -m data_sharding phantom $(FU)/world --internal 1000 --faces 1000 --photos-each 1 --external 0 --public 0 --osteoporosis 0.33 --size 128 $(fresh)
	$(PY) -m data_sharding pack $(FU)/world/asan $(FU)/shards/asan --policy who/1+minus-one=osteopenia --size 128 $(key) $(fresh)
	$(PY) -m data_sharding pack $(FU)/world/faces $(FU)/shards/faces --name asan --splits-of $(FU)/shards/asan $(key) $(fresh)
	$(PY) -m training three_classes:smoke --folds 3 "paths.external=[]" paths.runs=$(FU)/cxr $(short) $(fresh)
	$(PY) -m training face2bone:smoke input.size=64 paths.runs=$(FU)/alone $(short) $(fresh)
	$(PY) -m training face2bone:smoke input.size=64 paths.runs=$(FU)/taught crossmodal.run=$(FU)/cxr/latest $(short) $(fresh)
	$(PY) -m eval variants $(FU)/taught/latest $(FU)/alone/latest --names taught,alone --out $(FU)/compared
	$(PY) -m eval fusion --face $(FU)/taught/latest --cxr $(FU)/cxr/latest --out $(FU)/fused

# A sweep on the world of make demo, and its page: 12 trials, stopped early by ASHA.
demo-sweep: export OSTEORAY_HOME := $(abspath $(DEMO))
demo-sweep: setup
	$(PY) -m tuning ospenscreen:smoke --trials 12 $(fresh)

# One region carries all the signal, and nothing else tells: how often do Shapley values put it first?
RE := $(DEMO)/regions
bench-regions: export OSTEORAY_HOME := $(abspath $(RE))
bench-regions: setup
	$(PY) -m data_sharding phantom $(RE)/world --faces 600 --internal 0 --external 0 --public 0 --osteoporosis 0.33 \
	  --face-weights nasolabial=1 --face-confounding 0 $(fresh)
	$(PY) -m data_sharding pack $(RE)/world/faces $(RE)/shards/faces --key-file $(RE)/world/pseudonym.key $(fresh)
	$(PY) -m training face2bone:smoke $(fresh)
	$(PY) -m eval faces $(RE)/runs/latest --each 40 --people 16 --no-pixels --no-concepts

test: setup
	$(PY) -m pytest

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

# The libraries it compares with lie in a folder of their own: nothing else ever imports them.
PEERS := .venv/peers
bench: $(PEERS)/.set-up
	PYTHONPATH=$(PEERS) $(PY) -m tests.bench

$(PEERS)/.set-up: requirements-bench.lock $(STAMP)
	@echo "Installing the benchmarks' peers into $(PEERS) (260 MB)"
	@uv=uv; uv --version >/dev/null 2>&1 || uv=.venv/bin/uv; rm -rf $(PEERS); \
	$$uv pip install --quiet --python $(PY) --target $(PEERS) --compile-bytecode --no-deps \
	  --require-hashes -r requirements-bench.lock
	@touch $@

bench-method: setup
	$(PY) -m tests.bench.method

# The locks hold versions and hashes for every platform, and no index address.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements.lock
	uv pip compile --group bench --no-deps -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet \
	  -o requirements-bench.lock
