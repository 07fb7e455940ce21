using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;

namespace RedisFailover.ZooKeeper;

/// <summary>What an entry of an access control list allows. The numbers are ZooKeeper's.</summary>
[Flags]
public enum ZnodePermissions
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Read data and list children.</summary>
    Read = 1,

    /// <summary>Write data.</summary>
    Write = 2,

    /// <summary>Create children.</summary>
    Create = 4,

    /// <summary>Delete children.</summary>
    Delete = 8,

    /// <summary>Change the access control list.</summary>
    Admin = 16,

    /// <summary>Everything.</summary>
    All = 31,
}

/// <summary>One entry of a znode's access control list.</summary>
/// <param name="Permissions">What is allowed.</param>
/// <param name="Scheme">The authentication scheme: <c>world</c>, <c>auth</c>, <c>digest</c>, <c>ip</c>, <c>x509</c>.</param>
/// <param name="Id">Who, in the scheme's own form.</param>
public sealed record ZnodeAcl(ZnodePermissions Permissions, string Scheme, string Id)
{
    /// <summary>Everybody may do everything: the default of every create.</summary>
    public static ImmutableArray<ZnodeAcl> Open { get; } = [new(ZnodePermissions.All, "world", "anyone")];

    /// <summary>Everybody may read.</summary>
    public static ImmutableArray<ZnodeAcl> ReadOnly { get; } = [new(ZnodePermissions.Read, "world", "anyone")];

    /// <summary>
    /// Whoever created it, with the credentials of the session, may do everything. A create without credentials fails with
    /// <see cref="ZooKeeperErrorCode.InvalidAcl"/>.
    /// </summary>
    public static ImmutableArray<ZnodeAcl> CreatorAll { get; } = [new(ZnodePermissions.All, "auth", "")];

    /// <summary>An entry for a user of the digest scheme.</summary>
    /// <param name="user">The user's name, without a colon.</param>
    /// <param name="password">The user's password; only its hash becomes part of the entry.</param>
    /// <param name="permissions">What is allowed.</param>
    /// <remarks>
    /// The id is <c>user:base64(sha1(user:password))</c>, as ZooKeeper's <c>DigestAuthenticationProvider.generateDigest</c> makes it.
    /// </remarks>
    public static ZnodeAcl Digest(string user, string password, ZnodePermissions permissions = ZnodePermissions.All)
    {
        ArgumentNullException.ThrowIfNull(user);
        ArgumentNullException.ThrowIfNull(password);
#pragma warning disable CA5350 // The server compares SHA-1; nothing else is possible here.
        byte[] hash = SHA1.HashData(Encoding.UTF8.GetBytes($"{user}:{password}"));
#pragma warning restore CA5350
        return new ZnodeAcl(permissions, "digest", $"{user}:{Convert.ToBase64String(hash)}");
    }

    /// <summary>Refuses what cannot be written.</summary>
    /// <exception cref="ArgumentException">An entry, or a part of it, is null.</exception>
    internal static ImmutableArray<ZnodeAcl> Validate(ImmutableArray<ZnodeAcl> acl,
        [CallerArgumentExpression(nameof(acl))] string? name = null)
    {
        for (int i = 0; !acl.IsDefault && i < acl.Length; i++)
        {
            if (acl[i] is not { Scheme: not null, Id: not null })
            {
                throw new ArgumentException($"Entry {i} {(acl[i] is null ? "is" : "has a scheme or an id that is")} null.", name);
            }
        }

        return acl;
    }
}

/// <summary>A znode's access control list together with its state.</summary>
/// <param name="Acl">The entries.</param>
/// <param name="Stat">The znode's state; <see cref="ZnodeStat.AclVersion"/> is the version that a change may expect.</param>
public sealed record ZnodeAccess(ImmutableArray<ZnodeAcl> Acl, ZnodeStat Stat);
