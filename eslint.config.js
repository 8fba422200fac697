// One rule set only: promises nobody waits for. Everything else is biome's; biome's own version of these rules misses
// promises whose type comes from node's declarations.
import tseslint from 'typescript-eslint'

export default tseslint.config({
  files: ['src/**/*.ts', 'nats/**/*.ts', 'actors/**/*.ts', 'supervisor/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'],
  plugins: { '@typescript-eslint': tseslint.plugin },
  languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
  rules: {
    // tap queues subtests by itself and waits for each: nobody else needs to.
    '@typescript-eslint/no-floating-promises': [
      'error',
      {
        allowForKnownSafeCalls: ['@tapjs/core', '@tapjs/test', 'tap'].map(name => ({
          from: 'package',
          name: 'test',
          package: name,
        })),
      },
    ],
    '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
  },
})
