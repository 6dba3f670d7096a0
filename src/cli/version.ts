/**
 * The version of the project; a test holds it equal to the manifests'.
 *
 * @module
 */

/** The version, by the rules of semantic versioning. */
export const VERSION = "0.1.0";
