//! Language tags (RFC 5646): which one a wish means, and their names of three letters.
//!
//! Never guesses a language from a name. Invariant: `en`, `eng` and `EN_us` are one language, however a manifest spells it.

/// How well a tag fits a wish; the smaller, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The same tag.
    Exact,
    /// The tag says more than the wish: `pt-BR` for `pt` (basic filtering, RFC 4647 section 3.3.1).
    Narrower,
    /// The tag says less than the wish: `pt` for `pt-BR` (lookup, RFC 4647 section 3.4).
    Wider,
}

/// Whether a tag is what a wish means, and how well. Neither another region (`pt-PT` for `pt-BR`) nor an empty tag is.
#[must_use]
pub fn fit(wish: &str, tag: &str) -> Option<Fit> {
    let (wish, tag) = (canonical(wish)?, canonical(tag)?);
    let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'));
    if wish == tag {
        Some(Fit::Exact)
    } else if begins(&tag, &wish) {
        Some(Fit::Narrower)
    } else if begins(&wish, &tag) {
        Some(Fit::Wider)
    } else {
        None
    }
}

/// The name of three letters that MP4 and others keep (ISO 639-2/T): `deu` for `de`, `de-AT` and `ger`. A code of three
/// letters that has no short form is its own. None when it is no language.
#[must_use]
pub fn three_letters(tag: &str) -> Option<String> {
    let tag = canonical(tag)?;
    let primary = tag.split('-').next()?;
    let known = entries().find(|entry| entry.first() == Some(&primary));
    match known {
        Some(entry) => entry.get(1).map(|&code| code.to_owned()),
        None if primary.len() == 3 => Some(primary.to_owned()),
        None => None,
    }
}

/// Lower case, hyphens, and the shortest code of the language.
fn canonical(tag: &str) -> Option<String> {
    let tag = tag.trim().to_ascii_lowercase().replace('_', "-");
    let (primary, rest) = tag.split_at(tag.find('-').unwrap_or(tag.len()));
    if primary.is_empty() || !primary.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let primary = match primary {
        // What they were called until 1989.
        "iw" => "he",
        "in" => "id",
        "ji" => "yi",
        other if other.len() == 3 => entries()
            .find(|entry| entry.contains(&other))
            .and_then(|entry| entry.first().copied())
            .unwrap_or(other),
        other => other,
    };
    Some(format!("{primary}{rest}"))
}

/// The languages with a code of two letters: that, ISO 639-2/T, and ISO 639-2/B where it differs.
fn entries() -> impl Iterator<Item = [&'static str; 3]> {
    CODES.split(',').map(|entry| {
        let mut codes = entry.split_ascii_whitespace();
        let two = codes.next().unwrap_or_default();
        let three = codes.next().unwrap_or_default();
        [two, three, codes.next().unwrap_or(three)]
    })
}

/// ISO 639-1 and 639-2 (the Library of Congress keeps the list).
const CODES: &str = "aa aar,ab abk,ae ave,af afr,ak aka,am amh,an arg,ar ara,as asm,av ava,ay aym,az aze,ba bak,\
    be bel,bg bul,bi bis,bm bam,bn ben,bo bod tib,br bre,bs bos,ca cat,ce che,ch cha,co cos,cr cre,cs ces cze,\
    cu chu,cv chv,cy cym wel,da dan,de deu ger,dv div,dz dzo,ee ewe,el ell gre,en eng,eo epo,es spa,et est,\
    eu eus baq,fa fas per,ff ful,fi fin,fj fij,fo fao,fr fra fre,fy fry,ga gle,gd gla,gl glg,gn grn,gu guj,gv glv,\
    ha hau,he heb,hi hin,ho hmo,hr hrv,ht hat,hu hun,hy hye arm,hz her,ia ina,id ind,ie ile,ig ibo,ii iii,ik ipk,\
    io ido,is isl ice,it ita,iu iku,ja jpn,jv jav,ka kat geo,kg kon,ki kik,kj kua,kk kaz,kl kal,km khm,kn kan,\
    ko kor,kr kau,ks kas,ku kur,kv kom,kw cor,ky kir,la lat,lb ltz,lg lug,li lim,ln lin,lo lao,lt lit,lu lub,\
    lv lav,mg mlg,mh mah,mi mri mao,mk mkd mac,ml mal,mn mon,mr mar,ms msa may,mt mlt,my mya bur,na nau,nb nob,\
    nd nde,ne nep,ng ndo,nl nld dut,nn nno,no nor,nr nbl,nv nav,ny nya,oc oci,oj oji,om orm,or ori,os oss,pa pan,\
    pi pli,pl pol,ps pus,pt por,qu que,rm roh,rn run,ro ron rum,ru rus,rw kin,sa san,sc srd,sd snd,se sme,sg sag,\
    si sin,sk slk slo,sl slv,sm smo,sn sna,so som,sq sqi alb,sr srp,ss ssw,st sot,su sun,sv swe,sw swa,ta tam,\
    te tel,tg tgk,th tha,ti tir,tk tuk,tl tgl,tn tsn,to ton,tr tur,ts tso,tt tat,tw twi,ty tah,ug uig,uk ukr,\
    ur urd,uz uzb,ve ven,vi vie,vo vol,wa wln,wo wol,xh xho,yi yid,yo yor,za zha,zh zho chi,zu zul";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_takes_what_says_more_or_less_but_nothing_else() {
        for (wish, tag, expected) in [
            ("en", "en", Some(Fit::Exact)),
            ("EN", "eng", Some(Fit::Exact)),
            ("ger", "de", Some(Fit::Exact)),
            ("de-at", "ger_AT", Some(Fit::Exact)),
            ("iw", "he", Some(Fit::Exact)),
            ("pt", "pt-BR", Some(Fit::Narrower)),
            ("zh", "chi-Hant-TW", Some(Fit::Narrower)),
            ("pt-BR", "pt", Some(Fit::Wider)),
            ("pt-BR", "pt-PT", None),
            ("en", "eng2", None),
            ("e", "en", None),
            ("en", "", None),
            ("", "en", None),
            ("und", "en", None),
            ("gsw", "gsw-CH", Some(Fit::Narrower)),
        ] {
            assert_eq!(fit(wish, tag), expected, "{wish} for {tag}");
        }
    }

    #[test]
    fn languages_have_names_of_three_letters() {
        for (tag, code) in [
            ("de", Some("deu")),
            ("de-AT", Some("deu")),
            ("ger", Some("deu")),
            ("fre", Some("fra")),
            ("gsw", Some("gsw")),
            ("und", Some("und")),
            ("xx", None),
            ("english", None),
            ("", None),
        ] {
            assert_eq!(three_letters(tag).as_deref(), code, "{tag}");
        }
    }

    #[test]
    fn the_table_of_languages_is_well_formed() {
        let mut seen = std::collections::HashSet::new();
        for [two, three, other] in entries() {
            assert!(two.len() == 2 && three.len() == 3 && other.len() == 3, "{two} {three} {other}");
            assert!(
                seen.insert(two) && seen.insert(three) && (other == three || seen.insert(other)),
                "{two}"
            );
        }
        assert_eq!(seen.iter().filter(|code| code.len() == 2).count(), 183);
    }
}
