namespace RedisFailover.Client;

/// <summary>How connections are secured: PEM files, which are read again when they change, and the name that servers must show.</summary>
public sealed record TlsSettings
{
    /// <summary>The authorities to trust in place of the system's. Default null: the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>The certificate to show. Default null: none.</summary>
    public string? CertFile { get; init; }

    /// <summary>Its private key. Default null: in <see cref="CertFile"/>.</summary>
    public string? KeyFile { get; init; }

    /// <summary>
    /// The name that servers must show in place of their host's; "*", with <see cref="CaFile"/> alone: any. Default null: the host's.
    /// </summary>
    public string? ServerName { get; init; }

    internal TlsFiles Files => field is { } known && known.Of == (CaFile, CertFile, KeyFile, ServerName) ? known
        : field = new TlsFiles(CaFile, CertFile, KeyFile, ServerName);

    /// <summary>What is wrong with it; null where nothing is.</summary>
    internal string? Fault()
    {
        if (ServerName == TlsFiles.AnyName && CaFile is null)
        {
            return "any name without CaFile";
        }

        try
        {
            Files.Current();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Security.Cryptography.CryptographicException)
        {
            return e.Message;
        }
    }

    /// <summary>Compares the settings.</summary>
    public bool Equals(TlsSettings? other)
        => other is not null && (CaFile, CertFile, KeyFile, ServerName) == (other.CaFile, other.CertFile, other.KeyFile, other.ServerName);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(CaFile, CertFile, KeyFile, ServerName);
}
