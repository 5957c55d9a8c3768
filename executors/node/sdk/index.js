// Everything in this package is a type. The module exists so that an import of it, written without `type`, still resolves.
export {};
