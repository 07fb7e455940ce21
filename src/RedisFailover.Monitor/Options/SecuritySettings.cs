using System.Collections.Immutable;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Options;

/// <summary>Secrets, certificates and rights: what the monitor shows to Redis and to ZooKeeper, and whom it lets near the znodes.</summary>
internal sealed record SecuritySettings
{
    private static readonly string[] NamesOfOthers = ["zk-readers", "zk-operators"];
    private static readonly string[] PartsOfTls = ["ca-file", "cert-file", "key-file", "name"];

    /// <summary>TLS to Redis; null: none.</summary>
    internal TlsFiles? RedisTls { get; init; }

    /// <summary>TLS to ZooKeeper; null: none.</summary>
    internal TlsFiles? ZooKeeperTls { get; init; }

    /// <summary>The monitors' own "user:password" for ZooKeeper, one a line; null: none, and the znodes are open to all.</summary>
    internal SecretFile? ZooKeeperAuth { get; init; }

    /// <summary>Who may read the znodes, besides monitors and operators. Default everybody.</summary>
    internal ImmutableArray<ZnodeAcl> Readers { get; init; } = ZnodeAcl.ReadOnly;

    /// <summary>Who may make requests, besides the monitors. Default nobody.</summary>
    internal ImmutableArray<ZnodeAcl> Operators { get; init; } = [];

    internal static SecuritySettings Bind(IReadOnlyDictionary<string, GivenOption> given)
    {
        SecretFile? auth = Secrets(given, "zk-auth-file", "one user:password a line", IsUserAndPassword);
        if (auth is not null && !auth.Read().All(IsUserAndPassword))
        {
            throw given["zk-auth-file"].Unusable("a line is not user:password");
        }

        if (auth is null && NamesOfOthers.Select(given.GetValueOrDefault).FirstOrDefault(o => o is not null) is { } alone)
        {
            throw alone.Wrong("nothing without --zk-auth-file: znodes that are open to all have no readers and operators");
        }

        return new SecuritySettings
        {
            RedisTls = Tls(given, "tls"),
            ZooKeeperTls = Tls(given, "zk-tls"),
            ZooKeeperAuth = auth,
            Readers = given.TryGetValue("zk-readers", out GivenOption? readers) ? Ids(readers, ZnodePermissions.Read) : ZnodeAcl.ReadOnly,
            Operators = given.TryGetValue("zk-operators", out GivenOption? operators) ? Ids(operators, ZnodePermissions.Read) : [],
        };
    }

    private static bool IsUserAndPassword(string line) => line.IndexOf(':', StringComparison.Ordinal) > 0;

    private static SecretFile? Secrets(IReadOnlyDictionary<string, GivenOption> given, string name, string what, Func<string, bool> isLine)
    {
        if (given.GetValueOrDefault(name) is not { } option)
        {
            return null;
        }

        var file = new SecretFile(option.Value, isLine);
        try
        {
            return file.Read().IsEmpty ? throw option.Unusable($"it is empty; allowed: {what}") : file;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw option.Unusable(e.Message);
        }
    }

    private static TlsFiles? Tls(IReadOnlyDictionary<string, GivenOption> given, string prefix)
    {
        string? Value(string name) => given.GetValueOrDefault($"{prefix}-{name}")?.Value;
        GivenOption? part = PartsOfTls.Select(n => given.GetValueOrDefault($"{prefix}-{n}")).FirstOrDefault(o => o is not null);
        bool on = given.GetValueOrDefault(prefix) is { } option
            ? option.Value switch { "on" => true, "off" => false, _ => throw option.Wrong("on, off") }
            : part is not null;
        if (!on)
        {
            return part is null ? null : throw part.Wrong($"nothing with --{prefix} off");
        }

        if (Value("key-file") is not null && Value("cert-file") is null)
        {
            throw given[$"{prefix}-key-file"].Wrong($"a key for the certificate of --{prefix}-cert-file, which is missing");
        }

        if (Value("name") is TlsFiles.AnyName && Value("ca-file") is null)
        {
            throw given[$"{prefix}-name"].Wrong($"a host name; {TlsFiles.AnyName} (any name) only with --{prefix}-ca-file");
        }

        return Readable(new TlsFiles(Value("ca-file"), Value("cert-file"), Value("key-file"), Value("name")), part!);
    }

    /// <summary>The certificate that HTTP shows; null: none.</summary>
    internal static TlsFiles? ServerTls(IReadOnlyDictionary<string, GivenOption> given, Uri? http)
    {
        GivenOption? certificate = given.GetValueOrDefault("http-cert-file");
        GivenOption? key = given.GetValueOrDefault("http-key-file");
        bool isSecured = http?.Scheme == Uri.UriSchemeHttps;
        return isSecured && certificate is null ? throw given["http"].Wrong("https:// only with --http-cert-file")
            : !isSecured && (certificate ?? key) is { } alone ? throw alone.Wrong("nothing without --http https://...")
            : certificate is null ? null
            : Readable(new TlsFiles(null, certificate.Value, key?.Value, null), certificate);
    }

    private static TlsFiles Readable(TlsFiles files, GivenOption part)
    {
        try
        {
            files.Current();
            return files;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException
            or System.Security.Cryptography.CryptographicException)
        {
            throw part.Unusable($"{e.Message} (allowed: PEM)");
        }
    }

    /// <summary>
    /// "digest:user:hash", "x509:CN=…", "ip:10.0.0.0/8" or "world:anyone", by commas outside of a distinguished name by semicolons.
    /// </summary>
    private static ImmutableArray<ZnodeAcl> Ids(GivenOption option, ZnodePermissions permissions)
        => [.. option.Value.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(text =>
        {
            int colon = text.IndexOf(':', StringComparison.Ordinal);
            return colon > 0 && colon < text.Length - 1
                ? new ZnodeAcl(permissions, text[..colon], text[(colon + 1)..])
                : throw (option with { Value = text })
                    .Wrong(
                        "scheme:id, several separated by ';': digest:user:BASE64HASH, x509:DISTINGUISHED-NAME, ip:10.0.0.0/8, "
                            + "world:anyone");
        })];
}
