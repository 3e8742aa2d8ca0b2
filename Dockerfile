# syntax=docker/dockerfile:1
# One image a program:  docker build --build-arg PROGRAM=services/catalog -t souk-catalog .
# Static, from scratch, not root; nothing in it but the program and the CA certificates.
FROM golang:1.26-alpine AS build
RUN apk add --no-cache gcc musl-dev
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG PROGRAM=gateway
# librdkafka comes as a static library; the tag picks the one for musl.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 GOFLAGS=-buildvcs=false \
    go build -trimpath -tags musl -ldflags '-s -w -linkmode external -extldflags "-static"' -o /out/program ./${PROGRAM}

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/program /program
USER 65532:65532
# Asks the admin port that Nomad gave it.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 CMD ["/program", "healthcheck"]
ENTRYPOINT ["/program"]
