/** The window gets no object: why. Thrown inside, announced once, after everything was taken away again. */
export class Hopeless extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'Hopeless'
  }
}
