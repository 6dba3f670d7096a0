/**
 * A small certificate authority, for tests and for clusters without one of their own: it makes
 * authorities and signs certificates of nodes, servers and clients. A face of its own, so that only
 * who makes certificates loads the library for it.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHash, createPrivateKey, randomBytes, webcrypto } from "node:crypto";
import { Integer, OctetString, Utf8String } from "asn1js";
import {
  AttributeTypeAndValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CryptoEngine,
  Extension,
  ExtKeyUsage,
  GeneralName,
  GeneralNames,
  RelativeDistinguishedNames,
  Time,
} from "pkijs";
import { ConfigError } from "../raft/mod.ts";
import { CertificateError } from "./errors.ts";
import { ipAddressBytes } from "./ip_address.ts";
import { messageOf } from "./message_of.ts";

/** A certificate and its private key (ECDSA over P-256, PKCS #8), in PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

/** What an authority signs. */
export interface CertificateRequest {
  /** The common name, for people; 1 to 64 characters. */
  readonly commonName: string;
  /** DNS names that the certificate stands for. */
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses that the certificate stands for. */
  readonly ipAddresses?: readonly string[];
  /** When it begins to hold. Default: five minutes ago, for clocks that differ. */
  readonly notBefore?: Date;
  /** When it ends to hold. */
  readonly notAfter: Date;
}

/** A key as the library types it: the same objects, by another name. */
type LibraryKey = Parameters<Certificate["sign"]>[0];

interface Keys {
  readonly publicKey: LibraryKey;
  readonly privateKey: LibraryKey;
}

const CURVE = { name: "ECDSA", namedCurve: "P-256" } as const;
const CLOCK_SKEW_MS = 5 * 60_000;
const SERIAL_BYTES = 16;
const UTC_TIME_YEAR_MAX = 2049;

const OID = {
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** The bits of a key usage as a DER bit string: to sign; to sign certificates and their revocation. */
const DIGITAL_SIGNATURE = Uint8Array.of(0x03, 0x02, 0x07, 0x80);
const SIGN_CERTIFICATES = Uint8Array.of(0x03, 0x02, 0x01, 0x06);

const engine = new CryptoEngine({
  name: "node:crypto",
  crypto: webcrypto as unknown as ConstructorParameters<typeof CryptoEngine>[0]["crypto"],
});

/** An authority that signs certificates. */
export class CertificateAuthority {
  /** Its own certificate and key. */
  readonly keyPair: KeyPair;
  private readonly own: Certificate;
  private readonly signingKey: LibraryKey;

  private constructor(keyPair: KeyPair, own: Certificate, signingKey: LibraryKey) {
    this.keyPair = keyPair;
    this.own = own;
    this.signingKey = signingKey;
  }

  /** Makes a new authority. @throws ConfigError when a part of the request does not fit */
  static async create(request: CertificateRequest): Promise<CertificateAuthority> {
    const keys = await generateKeys();
    const made = newCertificate(request);
    made.issuer = distinguishedName(request.commonName);
    await made.subjectPublicKeyInfo.importKey(keys.publicKey, engine);
    addExtension(made, OID.basicConstraints, true, new BasicConstraints({ cA: true }));
    addRawExtension(made, OID.keyUsage, true, SIGN_CERTIFICATES);
    addKeyIdentifiers(made, made);
    await made.sign(keys.privateKey, "SHA-256", engine);
    return new CertificateAuthority(await toPem(made, keys), made, keys.privateKey);
  }

  /** Goes on with an authority that was made before. @throws CertificateError when it is none */
  static async open(keyPair: KeyPair): Promise<CertificateAuthority> {
    try {
      const der = createPrivateKey(keyPair.privateKey).export({ type: "pkcs8", format: "der" });
      const key = await webcrypto.subtle.importKey("pkcs8", new Uint8Array(der), CURVE, false, [
        "sign",
      ]);
      return new CertificateAuthority(
        keyPair,
        readCertificate(keyPair.certificate),
        key as unknown as LibraryKey,
      );
    } catch (cause) {
      throw new CertificateError(
        `The authority must be a certificate and an ECDSA P-256 key in PEM: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  /**
   * Signs a new certificate with a new key, for servers and clients alike.
   *
   * @throws ConfigError when a part of the request does not fit.
   */
  async issue(request: CertificateRequest): Promise<KeyPair> {
    const keys = await generateKeys();
    const made = newCertificate(request);
    made.issuer = this.own.subject;
    await made.subjectPublicKeyInfo.importKey(keys.publicKey, engine);
    addExtension(made, OID.basicConstraints, true, new BasicConstraints({ cA: false }));
    addRawExtension(made, OID.keyUsage, true, DIGITAL_SIGNATURE);
    const keyPurposes = [OID.serverAuth, OID.clientAuth];
    addExtension(made, OID.extKeyUsage, false, new ExtKeyUsage({ keyPurposes }));
    addNames(made, request);
    addKeyIdentifiers(made, this.own);
    await made.sign(this.signingKey, "SHA-256", engine);
    return await toPem(made, keys);
  }
}

async function generateKeys(): Promise<Keys> {
  return await webcrypto.subtle.generateKey(CURVE, true, ["sign", "verify"]) as unknown as Keys;
}

function newCertificate({ commonName, notBefore, notAfter }: CertificateRequest): Certificate {
  if (commonName.length < 1 || commonName.length > 64) {
    throw new ConfigError(
      `The common name must have 1 to 64 characters: current value is "${commonName}"`,
    );
  }
  const begin = notBefore ?? new Date(Date.now() - CLOCK_SKEW_MS);
  if (!(notAfter.getTime() > begin.getTime())) {
    throw new ConfigError(
      `A certificate must end after it begins: ${notAfter.toJSON()} is not after ${begin.toJSON()}`,
    );
  }
  const serial = randomBytes(SERIAL_BYTES);
  // A positive number of just this many bytes.
  serial[0] = (serial[0] & 0x7f) | 0x40;
  return new Certificate({
    version: 2,
    serialNumber: new Integer({ valueHex: arrayBuffer(serial) }),
    subject: distinguishedName(commonName),
    notBefore: time(begin),
    notAfter: time(notAfter),
    extensions: [],
  });
}

function time(value: Date): Time {
  return new Time({ type: value.getUTCFullYear() <= UTC_TIME_YEAR_MAX ? 0 : 1, value });
}

function distinguishedName(commonName: string): RelativeDistinguishedNames {
  const value = new Utf8String({ value: commonName });
  return new RelativeDistinguishedNames({
    typesAndValues: [new AttributeTypeAndValue({ type: OID.commonName, value })],
  });
}

function addNames(made: Certificate, { dnsNames = [], ipAddresses = [] }: CertificateRequest) {
  const names = [
    ...dnsNames.map((value) => new GeneralName({ type: 2, value: checkDnsName(value) })),
    ...ipAddresses.map((address) => {
      const valueHex = arrayBuffer(ipAddressBytes(address));
      return new GeneralName({ type: 7, value: new OctetString({ valueHex }) });
    }),
  ];
  if (names.length > 0) addExtension(made, OID.subjectAltName, false, new GeneralNames({ names }));
}

function checkDnsName(name: string): string {
  const fits = name.length <= 253 &&
    /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/i.test(name);
  if (fits) return name;
  throw new ConfigError(`A name in a certificate must be a DNS name: current value is "${name}"`);
}

function addKeyIdentifiers(made: Certificate, issuer: Certificate): void {
  const own = new OctetString({ valueHex: keyIdentifier(made) });
  addRawExtension(made, OID.subjectKeyIdentifier, false, new Uint8Array(own.toBER()));
  const issuers = new OctetString({ valueHex: keyIdentifier(issuer) });
  const identifier = new AuthorityKeyIdentifier({ keyIdentifier: issuers });
  addExtension(made, OID.authorityKeyIdentifier, false, identifier);
}

/** The identifier of a certificate's key (RFC 5280 §4.2.1.2). */
function keyIdentifier(certificate: Certificate): ArrayBuffer {
  const bits = certificate.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView;
  return arrayBuffer(createHash("sha1").update(bits).digest());
}

function addExtension(
  made: Certificate,
  extnID: string,
  critical: boolean,
  value: { toSchema(): { toBER(): ArrayBuffer } },
): void {
  addRawExtension(made, extnID, critical, new Uint8Array(value.toSchema().toBER()));
}

function addRawExtension(
  made: Certificate,
  extnID: string,
  critical: boolean,
  der: Uint8Array,
): void {
  made.extensions ??= [];
  made.extensions.push(new Extension({ extnID, critical, extnValue: arrayBuffer(der) }));
}

async function toPem(made: Certificate, keys: Keys): Promise<KeyPair> {
  const key = keys.privateKey as unknown as webcrypto.CryptoKey;
  return {
    certificate: pem("CERTIFICATE", made.toSchema(true).toBER()),
    privateKey: pem("PRIVATE KEY", await webcrypto.subtle.exportKey("pkcs8", key)),
  };
}

function pem(label: string, der: ArrayBuffer): string {
  const lines = Buffer.from(der).toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function readCertificate(text: string): Certificate {
  const match = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/.exec(text);
  if (match === null) throw new CertificateError("There is no certificate in it");
  return Certificate.fromBER(arrayBuffer(Buffer.from(match[1], "base64")));
}

function arrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
