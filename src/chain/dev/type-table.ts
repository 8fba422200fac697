/** Index of a type in a runtime's type table (scale-info's portable registry). */
export type TypeId = number

/** A field of a composite or variant: a bare type id is a field without a name. */
export type Field = TypeId | readonly [name: string, type: TypeId]

/** A variant's name and fields; its index is its place in the list unless given. */
export interface Variant {
  name: string
  fields?: readonly Field[]
  index?: number
}

/** Type parameters by name: polkadot-js finds the runtime's call, event and account types through them. */
export type TypeParams = Readonly<Record<string, TypeId>>

/** The types of a runtime under construction. Equal types are entered once. */
export interface TypeTable {
  primitive(name: 'Bool' | 'Str' | 'U8' | 'U16' | 'U32' | 'U64' | 'U128'): TypeId
  sequence(of: TypeId): TypeId
  array(length: number, of: TypeId): TypeId
  compact(of: TypeId): TypeId
  tuple(of: readonly TypeId[]): TypeId
  option(of: TypeId): TypeId
  composite(path: string, fields: readonly Field[], params?: TypeParams): TypeId
  variant(path: string, variants: readonly Variant[], params?: TypeParams): TypeId
  /** The entries as polkadot-js takes them for a `PortableRegistry`. */
  entries(): object[]
}

export function typeTable(): TypeTable {
  const entries: object[] = []
  const known = new Map<string, TypeId>()

  function enter(def: object, path: string[] = [], named: TypeParams = {}): TypeId {
    const params = Object.entries(named).map(([name, type]) => ({ name, type }))
    const key = JSON.stringify([path, def])
    const id = known.get(key)
    if (id !== undefined) return id
    entries.push({ id: entries.length, type: { path, params, def, docs: [] } })
    known.set(key, entries.length - 1)
    return entries.length - 1
  }

  return {
    primitive: name => enter({ Primitive: name }),
    sequence: type => enter({ Sequence: { type } }),
    array: (len, type) => enter({ Array: { len, type } }),
    compact: type => enter({ Compact: { type } }),
    tuple: types => enter({ Tuple: types }),
    option: type =>
      enter(
        {
          Variant: { variants: [variantEntry({ name: 'None' }, 0), variantEntry({ name: 'Some', fields: [type] }, 1)] },
        },
        ['Option'],
        { T: type },
      ),
    composite: (path, fields, params) =>
      enter({ Composite: { fields: fields.map(fieldEntry) } }, path.split('::'), params),
    variant: (path, variants, params) =>
      enter({ Variant: { variants: variants.map(variantEntry) } }, path.split('::'), params),
    entries: () => entries,
  }
}

function fieldEntry(field: Field): object {
  const [name, type] = typeof field === 'number' ? [null, field] : field
  return { name, type, typeName: null, docs: [] }
}

function variantEntry({ name, fields = [], index }: Variant, place: number): object {
  return { name, fields: fields.map(fieldEntry), index: index ?? place, docs: [] }
}
