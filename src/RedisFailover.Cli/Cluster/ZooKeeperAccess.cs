using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using RedisFailover.Client;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>
/// How the tool shows itself to ZooKeeper and to Redis: by the environment, so that no secret stands on a command line, and scripts need
/// no more options. An empty variable is one that is not set; one that names a file names a file that can be read and holds something.
/// </summary>
internal static class ZooKeeperAccess
{
    private const string ZooKeeperPrefix = "REDIS_FAILOVER_ZK_";
    private const string RedisPrefix = "REDIS_FAILOVER_";

    private static readonly string[] TlsNames = ["TLS", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_NAME"];

    /// <summary>The variables that say how to show oneself to ZooKeeper.</summary>
    internal static ImmutableArray<string> Variables { get; } =
        [ZooKeeperPrefix + "AUTH_FILE", .. TlsNames.Select(name => ZooKeeperPrefix + name)];

    /// <summary>Those for Redis, which <c>load</c> alone talks to.</summary>
    internal static ImmutableArray<string> RedisVariables { get; } =
    [
        .. new[] { "PASSWORD", "PASSWORD_FILE", "USERNAME" }.Concat(TlsNames).Select(name => RedisPrefix + name),
    ];

    /// <summary>The file of the credentials; null for none.</summary>
    internal static string? AuthFile => Value(ZooKeeperPrefix + "AUTH_FILE");

    /// <summary>TLS to ZooKeeper; null for none.</summary>
    internal static TlsSettings? TlsSettings => Tls(ZooKeeperPrefix);

    /// <summary>The same as a session takes it.</summary>
    /// <exception cref="CliException">A file is not as it should be.</exception>
    internal static ZooKeeperTls? ZooKeeperTls => TlsSettings is { } tls
        ? Tls(new TlsFiles(tls.CaFile, tls.CertFile, tls.KeyFile, tls.ServerName)) : null;

    /// <summary>The options of a session.</summary>
    /// <exception cref="CliException">A file is not as it should be.</exception>
    internal static ZooKeeperOptions Options(ZooKeeperConnectionString connection)
        => new() { Connection = connection, Auth = Credentials(), Tls = ZooKeeperTls };

    /// <summary>The options of an application's connection.</summary>
    /// <exception cref="CliException">A file is not as it should be.</exception>
    internal static FailoverOptions Client(TimeSpan timeout)
    {
        const string password = RedisPrefix + "PASSWORD";
        const string passwordFile = password + "_FILE";
        _ = Credentials();
        if (Value(passwordFile) is { } file)
        {
            _ = Value(password) is null ? NamedFile.Lines(passwordFile, file)
                : throw new CliException($"{password} and {passwordFile} are both set; allowed: one of them.", CommandLine.WrongUsage);
        }

        return new FailoverOptions
        {
            ConnectTimeout = timeout,
            Password = Value(password),
            PasswordFile = Value(passwordFile),
            User = Value(RedisPrefix + "USERNAME"),
            ZooKeeperAuthFile = AuthFile,
            ZooKeeperTls = TlsSettings,
            Tls = Tls(RedisPrefix),
        };
    }

    private static ImmutableArray<ZooKeeperAuth> Credentials()
        => AuthFile is not { } path ? []
            : [.. NamedFile.Lines(Variables[0], path).Select(line => line.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon
                ? ZooKeeperAuth.Digest(line[..colon], line[(colon + 1)..])
                : throw new CliException($"{Variables[0]}: a line of {path} is not user:password.", CommandLine.WrongUsage))];

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
            CaFile = Value(prefix + "TLS_CA_FILE"), CertFile = Value(prefix + "TLS_CERT_FILE"), KeyFile = Value(prefix + "TLS_KEY_FILE"),
            ServerName = Value(prefix + "TLS_NAME"),
        };
        bool isOff = settings == new TlsSettings();
        return Value(prefix + "TLS") switch
        {
            "on" => Usable(prefix, settings),
            "off" => isOff ? null
                : throw new CliException($"{prefix}TLS is off, and {prefix}TLS_... are set; allowed: one of them.", CommandLine.WrongUsage),
            null => isOff ? null : Usable(prefix, settings),
            var other => throw new CliException($"{prefix}TLS is '{Words.Quoted(other)}'; allowed: on, off.", CommandLine.WrongUsage),
        };
    }

    /// <summary>Each file is looked at by itself first: of a certificate and a key .NET does not say which is at fault.</summary>
    private static TlsSettings Usable(string prefix, TlsSettings settings)
    {
        foreach (string variable in TlsNames.Where(n => n.EndsWith("_FILE", StringComparison.Ordinal)).Select(n => prefix + n))
        {
            _ = Value(variable) is { } file ? NamedFile.Lines(variable, file) : [];
        }

        string? fault = settings is { KeyFile: not null, CertFile: null }
            ? $"{prefix}TLS_KEY_FILE is set without {prefix}TLS_CERT_FILE."
            : settings is { ServerName: TlsFiles.AnyName, CaFile: null } ? $"{prefix}TLS_NAME is * without {prefix}TLS_CA_FILE."
            : Unusable($"{prefix}TLS_CA_FILE", new TlsFiles(settings.CaFile, null, null, null))
                ?? Unusable($"{prefix}TLS_CERT_FILE", new TlsFiles(null, settings.CertFile, settings.KeyFile, null));
        return fault is null ? settings : throw new CliException(fault, CommandLine.WrongUsage);
    }

    private static string? Unusable(string variable, TlsFiles files)
    {
        try
        {
            _ = files.Current();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            return $"{variable}: {e.Message}";
        }
    }

    private static string? Value(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null;
}
