export async function checkPackage(_folder: string): Promise<void> {}
