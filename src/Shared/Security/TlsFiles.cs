using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace RedisFailover.Shared;

/// <summary>
/// How a connection is secured: PEM files of the authorities and of the client's certificate, which are read again when they change, and
/// the name that servers must show. Compiled into the projects that connect to servers.
/// </summary>
/// <param name="caFile">The authorities to trust in place of the system's; null for the system's.</param>
/// <param name="certFile">The certificate to show; null for none.</param>
/// <param name="keyFile">Its private key; null where it is in the same file.</param>
/// <param name="serverName">The name that servers must show in place of the host's; <see cref="AnyName"/>: whatever they show. Null: the
/// host's.</param>
internal sealed class TlsFiles(string? caFile, string? certFile, string? keyFile, string? serverName)
{
    /// <summary>In place of a name: only the authority is checked.</summary>
    internal const string AnyName = "*";

    private readonly Lock _gate = new();
    private (byte[] Contents, X509Certificate2Collection Authorities, X509Certificate2? Certificate)? _loaded;

    /// <summary>What it was made of.</summary>
    internal (string? CaFile, string? CertFile, string? KeyFile, string? ServerName) Of { get; } = (caFile, certFile, keyFile, serverName);

    /// <summary>Whether servers may show any name.</summary>
    internal bool AcceptsAnyName => serverName == AnyName;

    /// <summary>The name that servers must show in place of the host's; null: the host's.</summary>
    internal string? Name => serverName == AnyName ? null : serverName;

    /// <summary>
    /// The options for a connection to this host, by what the files hold now. While they cannot be read, what was read last holds.
    /// </summary>
    /// <exception cref="IOException">A file cannot be read, and never could.</exception>
    /// <exception cref="CryptographicException">A file holds no certificate or key, and never did.</exception>
    internal SslClientAuthenticationOptions For(string host)
    {
        (X509Certificate2Collection authorities, X509Certificate2? certificate) = Current();
        var options = new SslClientAuthenticationOptions { TargetHost = serverName is null or AnyName ? host : serverName };
        if (certificate is not null)
        {
            options.ClientCertificates = [certificate];
        }

        if (caFile is not null)
        {
            options.CertificateChainPolicy =
                new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        }

        if (serverName == AnyName)
        {
            options.RemoteCertificateValidationCallback = static (_, _, _, errors)
                => (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None;
        }

        return options;
    }

    /// <summary>What the files hold now.</summary>
    internal (X509Certificate2Collection Authorities, X509Certificate2? Certificate) Current()
    {
        lock (_gate)
        {
            try
            {
                byte[] contents = [.. Contents(caFile), 0, .. Contents(certFile), 0, .. Contents(keyFile)];
                if (_loaded is not { } known || !contents.AsSpan().SequenceEqual(known.Contents))
                {
                    _loaded = (contents, Authorities(), Certificate());
                }
            }
            catch (Exception e) when (_loaded is not null && e is IOException or UnauthorizedAccessException or CryptographicException)
            {
                // Certificate and key are being replaced one after the other.
            }

            return (_loaded!.Value.Authorities, _loaded.Value.Certificate);
        }
    }

    private X509Certificate2Collection Authorities()
    {
        var authorities = new X509Certificate2Collection();
        if (caFile is not null)
        {
            authorities.ImportFromPemFile(caFile);
            if (authorities.Count == 0)
            {
                // Nothing to trust would mean the system's authorities to some.
                throw new CryptographicException($"{caFile} holds no certificate in PEM.");
            }
        }

        return authorities;
    }

    private X509Certificate2? Certificate() => certFile is null ? null : X509Certificate2.CreateFromPemFile(certFile, keyFile);

    private static byte[] Contents(string? file) => file is null ? [] : File.ReadAllBytes(file);
}
