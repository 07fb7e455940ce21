using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using RedisFailover.Client;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>
/// How the tool shows itself to ZooKeeper: by the environment, so that no secret stands on a command line, and scripts need no more
/// options.
/// </summary>
internal static class ZooKeeperAccess
{
    private const string Prefix = "REDIS_FAILOVER_ZK_";

    /// <summary>The variables, and what each means.</summary>
    internal static ImmutableArray<(string Variable, string Meaning)> Variables { get; } =
    [
        (Prefix + "AUTH_FILE", "a file with user:password (digest)"),
        (Prefix + "TLS", "on for TLS"),
        (Prefix + "TLS_CA_FILE", "PEM: the authorities to trust"),
        (Prefix + "TLS_CERT_FILE", "PEM: the certificate to show"),
        (Prefix + "TLS_KEY_FILE", "PEM: its private key"),
        (Prefix + "TLS_NAME", "the name in the servers' certificates; * for any"),
    ];

    /// <summary>The file of the credentials; null for none.</summary>
    internal static string? AuthFile => Value("AUTH_FILE");

    /// <summary>TLS to ZooKeeper; null for none.</summary>
    internal static TlsSettings? TlsSettings => Tls(Prefix);

    /// <summary>TLS to Redis, by the same variables as the monitors'; null for none.</summary>
    internal static TlsSettings? RedisTls => Tls("REDIS_FAILOVER_");

    /// <summary>The options of a session.</summary>
    /// <exception cref="CliException">A file is not as it should be.</exception>
    internal static ZooKeeperOptions Options(ZooKeeperConnectionString connection)
    {
        try
        {
            return new ZooKeeperOptions { Connection = connection, Auth = Credentials(), Tls = TlsSettings is { } tls
                ? Tls(new TlsFiles(tls.CaFile, tls.CertFile, tls.KeyFile, tls.ServerName)) : null };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw new CliException($"what {Prefix}... names cannot be used: {e.Message}", CommandLine.WrongUsage, e);
        }
    }

    private static ImmutableArray<ZooKeeperAuth> Credentials()
        => AuthFile is not { } path ? []
            : [.. new SecretFile(path).Read().Select(line => line.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon
                ? ZooKeeperAuth.Digest(line[..colon], line[(colon + 1)..])
                : throw new CliException($"{Prefix}AUTH_FILE: a line of {path} is not user:password.", CommandLine.WrongUsage))];

    private static ZooKeeperTls Tls(TlsFiles files)
    {
        (X509Certificate2Collection authorities, X509Certificate2? certificate) = files.Current();
        return new ZooKeeperTls { Authorities = [.. authorities], ClientCertificate = certificate, ServerName = files.Name,
            AcceptsAnyName = files.AcceptsAnyName };
    }

    private static TlsSettings? Tls(string prefix)
    {
        var settings = new TlsSettings
        {
            CaFile = Value("TLS_CA_FILE", prefix), CertFile = Value("TLS_CERT_FILE", prefix), KeyFile = Value("TLS_KEY_FILE", prefix),
                ServerName = Value("TLS_NAME", prefix),
        };
        return Value("TLS", prefix) switch
        {
            "on" => settings,
            "off" => settings == new TlsSettings() ? null
                : throw new CliException($"{prefix}TLS is off, and {prefix}TLS_... are set; allowed: one of them.", CommandLine.WrongUsage),
            null => settings == new TlsSettings() ? null : settings,
            var other => throw new CliException($"{prefix}TLS is '{Words.Quoted(other)}'; allowed: on, off.", CommandLine.WrongUsage),
        };
    }

    private static string? Value(string name, string prefix = Prefix)
        => Environment.GetEnvironmentVariable(prefix + name) is { Length: > 0 } value ? value : null;
}
