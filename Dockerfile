# The program, the CA certificates and the licences, nothing else: no shell, no
# packages, no files to write. `make image` builds it without a Docker engine.
#
# GO_IMAGE needs Go and a CA bundle, no more. The digest is that of the index of
# all platforms. The build runs on the machine's own platform and compiles for
# the one that is asked for. A release is built with this version of Go, its
# archives too.
ARG GO_IMAGE=golang:1.26.8-trixie@sha256:eae2aaa6add2936cbf350dd0d2628b363461542f0c4b3c0b558957e0f2997379

FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src

# The modules are a layer of their own: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download

COPY main.go ./
COPY cmd/ cmd/
COPY kube/ kube/
COPY nautobot/ nautobot/
COPY provision/ provision/

# The same flags as `make build`, so that both make the same bytes.
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG VERSION=devel
ARG COMMIT=unknown
ARG CMD=github.com/rackerlabs/understack/go/nautobot-token/cmd
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOFLAGS='-trimpath -buildvcs=false' \
    go build -ldflags "-s -w -X $CMD.version=$VERSION -X $CMD.commit=$COMMIT" -o /out/nautobot-token .

FROM scratch
ARG VERSION=devel
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="nautobot-token" \
      org.opencontainers.image.description="Makes Nautobot have exactly the service account that a Kubernetes Secret describes" \
      org.opencontainers.image.source="https://github.com/rackerlabs/understack" \
      org.opencontainers.image.url="https://github.com/rackerlabs/understack/tree/main/go/nautobot-token" \
      org.opencontainers.image.documentation="https://github.com/rackerlabs/understack/blob/main/go/nautobot-token/README.md" \
      org.opencontainers.image.vendor="Rackspace Technology" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE THIRD_PARTY_NOTICES /licenses/
COPY --from=build /out/nautobot-token /nautobot-token
USER 65532:65532
ENTRYPOINT ["/nautobot-token"]
