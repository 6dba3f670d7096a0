import { GrpcTransport } from "../../src/transport/grpc/mod.ts";
import { transportContract } from "./contract.ts";

transportContract("over gRPC", () => ({
  make: (nodeId, limits, address) =>
    new GrpcTransport({
      clusterId: "test",
      nodeId,
      listen: address ?? "127.0.0.1:0",
      insecure: true,
      backoffMs: 10,
      backoffMsMax: 100,
      ...limits,
    }),
  address: (transport) => (transport as GrpcTransport).address(),
  // Port 1 of the loopback is reserved, and nobody listens there.
  deadAddress: "127.0.0.1:1",
}));
