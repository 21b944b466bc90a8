# pawl: what a person needs to build, try and test it. `make help` lists the targets.

export CGO_ENABLED := 0
BIN      := $(CURDIR)/bin
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# $(call build,PROGRAM,MODULE,PACKAGE,LDFLAGS)
build     = @./scripts/build.sh $(BIN)/$(1) $(2) $(3) '$(4)'
STAMP    := -X github.com/pawl-dev/pawl/starter/internal/cli.version=$(VERSION)

KUBERNETES = $(shell awk '$$1 == "k8s.io/kubernetes" { print $$2 }' sim/controlplane/go.mod)

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
WORKFLOWCHECK := go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0

# Shape of the lab's cluster.
CONTROL_PLANES ?= 1
WORKERS        ?= 2
FROM           ?= v1.36.3
TO             ?= v1.37.2

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The Debian packages that the tests and the lab call. A program that is there already is left alone. chromium is for
# the test of Temporal's UI, dnf, zypper and what makes packages for them are for the tests of hosts that have these, sudo for
# what it lets through, and postgresql for make production.
.PHONY: deps
deps: ## Install the Debian packages that lab and tests need (root)
	@lack=; for need in debootstrap:debootstrap ip:iproute2 ssh:openssh-client chromium:chromium \
	  dnf:dnf zypper:zypper rpmbuild:rpm createrepo_c:createrepo-c gpg:gpg sudo:sudo; do \
	  command -v $${need%%:*} >/dev/null || lack="$$lack $${need##*:}"; done; \
	test -x /usr/sbin/sshd || lack="$$lack openssh-server"; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || lack="$$lack postgresql"; \
	if [ -n "$$lack" ]; then ./lab/apt-install.sh $$lack; fi
	@./scripts/dnf-plugins.sh $(BIN)/dnf-plugins-core

.PHONY: build
build: pawl temporal sim ## All programs but the lab's, into bin/

.PHONY: pawl
pawl: ## bin/pawl and bin/pawl-worker
	$(call build,pawl,.,./starter,$(STAMP))
	$(call build,pawl-worker,.,./worker,-X main.version=$(VERSION))

.PHONY: temporal
temporal: ## bin/pawl-temporal, the embedded Temporal server (a module of its own)
	$(call build,pawl-temporal,temporal,.)

.PHONY: sim
sim: ## bin/pawl-sim, simulated clusters, with their control plane (a module of its own)
	$(call build,pawl-sim,.,./sim)
	$(call build,pawl-sim-controlplane,sim/controlplane,.,-X k8s.io/component-base/version.gitVersion=$(KUBERNETES))

# The commit's date is the date of everything in the image, so that the same commit gives the same image.
IMAGE_PROGRAMS := $(BIN)/image/programs
ARCHITECTURES  ?= amd64 arm64
COMMIT         := $(shell git rev-parse HEAD 2>/dev/null)
COMMIT_DATE    := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
comma          := ,
space          := $(subst ,, )

.PHONY: image
image: $(addprefix image-programs-,$(ARCHITECTURES)) ## Container image of pawl-worker and pawl into bin/image, without a container engine: ARCHITECTURES="amd64 arm64"
	go run -C deploy ./image pack $(IMAGE_PROGRAMS) --architectures $(subst $(space),$(comma),$(ARCHITECTURES)) --out $(BIN)/image --version $(VERSION) --revision "$(COMMIT)" --created $(COMMIT_DATE)

.PHONY: image-programs-amd64 image-programs-arm64
image-programs-amd64 image-programs-arm64: image-programs-%:
	@GOOS=linux GOARCH=$* ./scripts/build.sh $(IMAGE_PROGRAMS)/$*/pawl . ./starter '$(STAMP)'
	@GOOS=linux GOARCH=$* ./scripts/build.sh $(IMAGE_PROGRAMS)/$*/pawl-worker . ./worker '-X main.version=$(VERSION)'

.PHONY: image-push
image-push: image ## Push it: IMAGE=registry.example.com/ops/pawl:v1.2.3
	go run -C deploy ./image push $(BIN)/image "$(IMAGE)"

.PHONY: manifests
manifests: ## Render the Helm chart's golden files and the base of kustomize anew
	go test -C deploy ./chart -update
	go test -C deploy ./kustomize -update

.PHONY: lab
lab: ## bin/pawl-lab
	$(call build,pawl-lab,lab,./cmd/pawl-lab)

.PHONY: test
test: build ## All tests but e2e, in minutes; simulated clusters are upgraded on the way. As root also those of the real dnf and zypper
	go test -timeout 40m ./...
	go test -C temporal ./...
	go test -C lab ./...
	go test -C deploy ./...

.PHONY: race
race: ## The same under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./activities/... ./workflows/... ./worker/... ./starter/... ./internal/... ./sim/...

.PHONY: lint
lint: ## Formatting, vet, layers of imports, determinism of workflows
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go vet -C temporal ./...
	go vet -C lab ./...
	go vet -C deploy ./...
	go vet -C sim/controlplane ./...
	GOOS=darwin go vet ./starter/... ./sim/... ./integration/...
	go run $(WORKFLOWCHECK) -config .workflowcheck.yaml ./workflows/...
	go run $(GOLANGCI_LINT) run ./...

.PHONY: lab-up
lab-up: deps lab ## A real kubeadm cluster on this machine (Linux, root): CONTROL_PLANES=1 WORKERS=2 FROM=v1.36.3
	$(BIN)/pawl-lab up --control-planes $(CONTROL_PLANES) --workers $(WORKERS) --version $(FROM) --next $(TO)

.PHONY: lab-down
lab-down: lab ## Remove the lab's cluster; its cache stays
	$(BIN)/pawl-lab down

.PHONY: lab-status
lab-status: lab ## What runs in the lab
	$(BIN)/pawl-lab status

.PHONY: demo
demo: build ## An upgrade over two minors of a simulated cluster, before your eyes; no root (ARGS=--keep to play with it)
	$(BIN)/pawl-sim demo $(ARGS)

.PHONY: demo-lab
demo-lab: deps build lab ## The same with real nodes: a lab cluster (Linux, root): CONTROL_PLANES=1 WORKERS=2 FROM=v1.36.3 TO=v1.37.2
	./lab/demo.sh $(CONTROL_PLANES) $(WORKERS) $(FROM) $(TO)

# Which of them: make e2e E2E=TestByHand
E2E      ?= .
E2E_SKIP ?= ^$$

.PHONY: e2e
e2e: deps build lab ## Upgrade seven lab clusters: of 1+2 and 3+3 nodes, over two minors, by other strategies, from inside, by hand, with an etcd of their own, killing pawl on the way (Linux, root, about an hour once the lab is built)
	$(MAKE) image ARCHITECTURES=amd64
	PAWL_E2E=1 go test ./e2e -count=1 -timeout 100m -v -run '$(E2E)' -skip '$(E2E_SKIP)'

# What the production test runs beside bin/pawl: Temporal's own server and schema tool, and a worker of a later build.
.PHONY: production-programs
production-programs:
	$(call build,temporal-server,temporal,go.temporal.io/server/cmd/server)
	$(call build,temporal-sql-tool,temporal,go.temporal.io/server/cmd/tools/sql)
	$(call build,pawl-worker-next,.,./worker,-X main.version=next)

.PHONY: production
production: build production-programs ## Upgrades on Temporal's real server over PostgreSQL: everything is killed on the way, and a backup restored (about 5 minutes)
	PAWL_PRODUCTION=1 go test ./integration -run 'Production|RestoredBackup|Fleet|Schedule' -count=1 -timeout 20m -v

.PHONY: clean
clean: ## Remove bin/
	rm -rf $(BIN)
